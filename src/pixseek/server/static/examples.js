// Pictures that the user drops, pastes or chooses to search by. They stay in this browser: the
// address holds a key, and the picture is sent with each search.

/** Longer side of what is sent: models look at a few hundred pixels. */
const SIDE = 1024;
const nameOf = (key) => `pixseek-example-${key}`;
const here = new Map();

/** Keep a picture, smaller if the browser can read it. @param {Blob} file @returns {Promise<string>} its key */
export async function keep(file) {
	const key = Math.random().toString(36).slice(2);
	const small = await shrunk(file).catch(() => "");
	here.set(key, small ? blobOf(small) : file);
	try {
		sessionStorage.setItem(nameOf(key), small);
	} catch {
		// No room: the picture is gone after a reload, which the page then says.
	}
	return key;
}

/** @param {string} key @returns {Blob|null} null if it is not in this browser */
export function find(key) {
	if (!here.has(key))
		try {
			here.set(key, blobOf(sessionStorage.getItem(nameOf(key))));
		} catch {
			// It is not there, or nothing is kept.
		}
	return here.get(key) || null;
}

const blobOf = (url) => new Blob([Uint8Array.from(atob(url.split(",")[1]), (each) => each.charCodeAt(0))], { type: "image/jpeg" });

/** A picture as a data URL of a JPEG, upright, on white. */
async function shrunk(file) {
	const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
	const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
	const [width, height] = [bitmap.width, bitmap.height].map((each) => Math.ceil(each * scale));
	const canvas = Object.assign(document.createElement("canvas"), { width, height });
	const context = canvas.getContext("2d");
	context.fillStyle = "#fff";
	context.fillRect(0, 0, width, height);
	context.drawImage(bitmap, 0, 0, width, height);
	return canvas.toDataURL("image/jpeg", 0.9);
}

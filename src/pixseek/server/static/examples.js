// Pictures that the user drops, pastes or chooses to search by. They stay in this browser: the
// address holds a key, and the picture is sent with each search.

/** Longer side of what is sent: models look at a few hundred pixels. */
const SIDE = 1024;
const PREFIX = "pixseek-example-";

/** @type {Map<string, Blob>} */
const here = new Map();

/**
 * Keep a picture, smaller if the browser can read it, else as it is.
 * @param {Blob} file @returns {Promise<string>} its key
 */
export async function keep(file) {
  const small = await shrunk(file).catch(() => null);
  const key = crypto.getRandomValues(new Uint32Array(2)).reduce((text, each) => text + each.toString(36), "");
  here.set(key, small || file);
  if (small) {
    const reader = new FileReader();
    reader.onload = () => {
      try {
        sessionStorage.setItem(PREFIX + key, String(reader.result));
      } catch {
        // No room: the picture is gone after a reload, which the page then says.
      }
    };
    reader.readAsDataURL(small);
  }
  return key;
}

/** @param {string} key @returns {Promise<Blob|null>} null if it is not in this browser */
export async function find(key) {
  const known = here.get(key);
  if (known) return known;
  const [head, data] = (sessionStorage.getItem(PREFIX + key) || "").split(",");
  if (!data || !/^data:image\/jpeg;base64$/.test(head)) return null;
  const blob = new Blob([Uint8Array.from(atob(data), (each) => each.charCodeAt(0))], { type: "image/jpeg" });
  here.set(key, blob);
  return blob;
}

/** @param {Blob} file */
async function shrunk(file) {
  // Upright, as the server would turn it.
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = (canvas.getContext("2d"));
  context.fillStyle = "#fff"; // what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) =>
    canvas.toBlob((made) => (made ? resolve(made) : reject(new Error("no JPEG"))), "image/jpeg", 0.9),
  );
}

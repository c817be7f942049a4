// Placeholders: decodes a ThumbHash (https://evanw.github.io/thumbhash) into a small canvas.
//
// It holds the mean and the strongest cosine waves of three channels: light, yellow against blue, red
// against green. 24 bits of head, 16 of tail, then 4 bits a wave. Ours have no transparency.

const SIDE = 32;

/** @param {string} base64 @returns {{width: number, height: number, pixels: Uint8ClampedArray}|null} */
export function decoded(base64) {
	const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
	if (bytes.length < 5) return null;
	const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
	const tail = bytes[3] | (bytes[4] << 8);
	const side = tail & 7 || 1;
	const [across, down] = tail >> 15 ? [7, side] : [side, 7];
	let at = 9;
	const nibble = () => (++at & 1 ? bytes[at >> 1] >> 4 : bytes[at >> 1] & 15);
	const waves = (columns, rows, scale) => {
		const found = [];
		for (let y = 0; y < rows; y++)
			for (let x = y ? 0 : 1; x * rows < columns * (rows - y); x++) found.push([x, y, (nibble() / 7.5 - 1) * scale * 2]);
		return found;
	};
	// Amplitudes of colours are kept smaller than they are.
	const channels = [
		[(head & 63) / 63, waves(Math.max(3, across), Math.max(3, down), ((head >> 18) & 31) / 31)],
		[((head >> 6) & 63) / 31.5 - 1, waves(3, 3, (((tail >> 3) & 63) / 63) * 1.25)],
		[((head >> 12) & 63) / 31.5 - 1, waves(3, 3, (((tail >> 9) & 63) / 63) * 1.25)],
	];
	const most = Math.max(across, down);
	const width = Math.round((SIDE * across) / most);
	const height = Math.round((SIDE * down) / most);
	const pixels = new Uint8ClampedArray(4 * width * height);
	// Once for each row and column: a cosine for each pixel and wave took most of the time.
	const wavesOf = (length) => Array.from({ length: 8 }, (_, n) => Array.from({ length }, (_, i) => Math.cos((Math.PI / length) * (i + 0.5) * n)));
	const [columns, rows] = [width, height].map(wavesOf);
	for (let y = 0, i = 0; y < height; y++)
		for (let x = 0; x < width; x++) {
			const [light, yellow, reddish] = channels.map(([mean, all]) => {
				for (const [u, v, size] of all) mean += size * columns[u][x] * rows[v][y];
				return mean;
			});
			const blue = light - (2 / 3) * yellow;
			const red = (3 * light - blue + reddish) / 2;
			for (const each of [red, red - reddish, blue, 1]) pixels[i++] = 255 * each;
		}
	return { width, height, pixels };
}

/** @param {string} base64 @returns {HTMLCanvasElement|null} */
export function placeholder(base64) {
	const found = decoded(base64);
	if (!found) return null;
	const { width, height, pixels } = found;
	const canvas = Object.assign(document.createElement("canvas"), { width, height });
	canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
	return canvas;
}

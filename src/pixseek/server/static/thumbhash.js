// Placeholders: decodes a ThumbHash (https://evanw.github.io/thumbhash) into a small canvas.
//
// A ThumbHash holds the mean of a picture and the strongest cosine waves of three channels: light,
// yellow against blue, red against green. 24 bits of head, 16 of tail, then 4 bits a wave.

/** Longer side of the canvas; the stylesheet stretches it to the tile. */
const SIDE = 32;

/** @param {string} base64 @returns {{width: number, height: number, pixels: Uint8ClampedArray}|null} */
export function decoded(base64) {
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  if (bytes.length < 5) return null;
  const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const tail = bytes[3] | (bytes[4] << 8);
  const hasAlpha = head >> 23;
  const isWide = tail >> 15;
  const most = hasAlpha ? 5 : 7;
  const columns = Math.max(3, isWide ? most : tail & 7);
  const rows = Math.max(3, isWide ? tail & 7 : most);
  const mean = [(head & 63) / 63, ((head >> 6) & 63) / 31.5 - 1, ((head >> 12) & 63) / 31.5 - 1];
  const reach = [((head >> 18) & 31) / 31, ((tail >> 3) & 63) / 63, ((tail >> 9) & 63) / 63];
  let at = (hasAlpha ? 6 : 5) * 2;
  const nibble = () => {
    const both = bytes[at >> 1] ?? 0;
    return at++ & 1 ? both >> 4 : both & 15;
  };
  /** @param {number} across @param {number} down @param {number} scale */
  const waves = (across, down, scale) => {
    const found = [];
    for (let y = 0; y < down; y++)
      for (let x = y ? 0 : 1; x * down < across * (down - y); x++) found.push([x, y, (nibble() / 7.5 - 1) * scale]);
    return found;
  };
  // The amplitudes of colours were kept a quarter larger than they are.
  const channels = [waves(columns, rows, reach[0]), waves(3, 3, reach[1] * 1.25), waves(3, 3, reach[2] * 1.25)];
  const ratio = (isWide ? most : tail & 7) / (isWide ? tail & 7 : most);
  const width = Math.max(1, Math.round(ratio > 1 ? SIDE : SIDE * ratio));
  const height = Math.max(1, Math.round(ratio > 1 ? SIDE / ratio : SIDE));
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 4) {
      const [light, yellow, reddish] = channels.map((channel, c) =>
        channel.reduce(
          (sum, [u, v, size]) =>
            sum + 2 * size * Math.cos((Math.PI / width) * (x + 0.5) * u) * Math.cos((Math.PI / height) * (y + 0.5) * v),
          mean[c],
        ),
      );
      const blue = light - (2 / 3) * yellow;
      const red = (3 * light - blue + reddish) / 2;
      pixels.set([red, red - reddish, blue, 1].map((each) => 255 * each), i);
    }
  return { width, height, pixels };
}

/** @param {string} base64 @returns {HTMLCanvasElement|null} */
export function placeholder(base64) {
  const found = decoded(base64);
  if (!found) return null;
  const canvas = document.createElement("canvas");
  canvas.width = found.width;
  canvas.height = found.height;
  const image = new ImageData((found.pixels), found.width, found.height);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

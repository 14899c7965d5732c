/** Making a picture smaller without moiré: every new pixel is the mean of all light that falls on it. */
import { channelsOf, type Picture } from './png.js';

/** sRGB is a curve: a mean of its numbers would be too dark. */
const LIGHT = Float64Array.from({ length: 256 }, (_, i) => {
  const value = i / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});

function fromLight(light: number): number {
  const value = light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055;
  return Math.min(255, Math.max(0, Math.round(value * 255)));
}

/** Which old pixels each new one covers, and how much of each. */
function coverage(from: number, to: number): { index: number; share: number }[][] {
  const step = from / to;
  return Array.from({ length: to }, (_, i) => {
    const [begin, end] = [i * step, (i + 1) * step];
    const shares: { index: number; share: number }[] = [];
    for (let index = Math.floor(begin); index < Math.min(from, Math.ceil(end - 1e-9)); index++) {
      const share = (Math.min(end, index + 1) - Math.max(begin, index)) / step;
      if (share > 0) shares.push({ index, share });
    }
    return shares;
  });
}

/** An RGB picture of the given size; transparent parts lie on black, as on most terminals. */
export function shrink(picture: Picture, width: number, height: number): Picture {
  const channels = channelsOf(picture);
  const columns = coverage(picture.width, width);
  // First along the rows, then along the columns.
  const narrow = new Float64Array(picture.height * width * 3);
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++) {
      for (const { index, share } of columns[x]) {
        const from = (y * picture.width + index) * channels;
        const alpha = channels === 4 ? picture.pixels[from + 3] / 255 : 1;
        for (let c = 0; c < 3; c++) narrow[(y * width + x) * 3 + c] += LIGHT[picture.pixels[from + c]] * alpha * share;
      }
    }
  }
  const pixels = new Uint8Array(width * height * 3);
  coverage(picture.height, height).forEach((rows, y) => {
    for (let i = 0; i < width * 3; i++) {
      const light = rows.reduce((sum, { index, share }) => sum + narrow[index * width * 3 + i] * share, 0);
      pixels[y * width * 3 + i] = fromLight(light);
    }
  });
  return { width, height, pixels };
}

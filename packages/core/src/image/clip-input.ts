/** From a picture to what CLIP's vision tower takes, as transformers' CLIPImageProcessor has it. */
import { UsageError } from '../errors.js';
import { fromImage, type Image } from './image.js';
import { type ResizeFilter, resize } from './resize.js';

/** See checkpoint/config-preprocessor.ts. */
export interface ClipInput {
  readonly resize?: { readonly shortestEdge: number } | { readonly width: number; readonly height: number };
  readonly filter: ResizeFilter;
  readonly crop?: { readonly width: number; readonly height: number };
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** Scaled, cropped, normalised: (H, W, 3). Transparency is laid over white. */
export function clipInput(image: Image, options: ClipInput): Float32Array {
  const scaled = options.resize
    ? resize(opaque(image), ...sizeOf(image, options.resize), options.filter)
    : opaque(image);
  const { width, height } = options.crop ?? scaled;
  const [top, left] = [Math.floor((scaled.height - height) / 2), Math.floor((scaled.width - width) / 2)];
  if (top < 0 || left < 0) {
    throw new UsageError(
      `a picture of ${scaled.width} x ${scaled.height} pixels has no middle of ${width} x ${height}: scale it up first`,
    );
  }
  const x = new Float32Array(width * height * 3);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let c = 0; c < 3; c++) {
        const byte = scaled.pixels[((row + top) * scaled.width + column + left) * 4 + c]!;
        x[(row * width + column) * 3 + c] = (byte * options.rescale - options.mean[c]!) / options.deviation[c]!;
      }
    }
  }
  return x;
}

/** The longer side is rounded down, as transformers does. */
function sizeOf({ width, height }: Image, to: NonNullable<ClipInput['resize']>): [number, number] {
  if ('width' in to) return [to.width, to.height];
  const side = to.shortestEdge;
  return width <= height
    ? [side, Math.max(side, Math.trunc((side * height) / width))]
    : [Math.max(side, Math.trunc((side * width) / height)), side];
}

function opaque(image: Image): Image {
  if (image.pixels.every((byte, i) => i % 4 !== 3 || byte === 255)) return image;
  const over = fromImage(image);
  const pixels = Uint8Array.from(image.pixels, (_, i) =>
    i % 4 === 3 ? 255 : Math.round((over[(i >> 2) * 3 + (i % 4)]! + 1) * 127.5),
  );
  return { ...image, pixels };
}

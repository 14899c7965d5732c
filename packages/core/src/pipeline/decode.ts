/**
 * Latents to pictures, in one go where the device can hold it, else in overlapping tiles that are blended into each
 * other (as diffusers' AutoencoderKL.tiled_decode does). Tiles see their own part only, so their group norms and
 * attention differ a little from those of the whole picture: tiling is the way out, not the rule.
 */
import { MemoryError, throwIfAborted } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { formatBytes } from '../gpu/memory.js';
import type { DevicePicture } from '../gpu/painter.js';
import { partOf, type Slice } from '../gpu/slice.js';
import type { Sample, Vae } from '../model/components.js';
import type { LatentSpace } from './latents.js';

/** Of a tile's side that it shares with its neighbour. */
const OVERLAP = 0.25;
/** Latents along a side, below which tiles are more seam than picture. */
const SMALLEST_TILE = 8;

/**
 * Scaled latents of a space -> N pictures (H, W, channels), about [-1, 1]. `onDecoded` sees each that is decoded whole
 * on the device, before it is read; the buffer is good for what is submitted there and then.
 */
export async function decodeLatents(
  vae: Vae,
  space: LatentSpace,
  latents: Slice,
  signal?: AbortSignal,
  onDecoded?: (picture: DevicePicture) => void,
): Promise<Float32Array[]> {
  const { images, height, width } = space.size;
  const one = { images: 1, height, width };
  const tile = tileSize(vae, height, width);
  const isWhole = tile.height >= height && tile.width >= width;
  const pixels = { width: width * vae.factor, height: height * vae.factor, channels: vae.config.outChannels };
  const show = onDecoded && ((buffer: GPUBuffer) => onDecoded({ buffer, ...pixels }));
  const unscaled = space.mix([1 / vae.config.scalingFactor, latents]);
  space.flush();
  const values = isWhole ? undefined : await space.read(unscaled); // tiles are cut on the host
  const pictures: Float32Array[] = [];
  for (let n = 0; n < images; n++) {
    if (values) {
      const each = values.length / images;
      pictures.push(await decodeTiled(vae, one, values.subarray(n * each, (n + 1) * each), tile, signal));
    } else {
      pictures.push((await vae.decode(one, [partOf(unscaled, n, images)], { onDecoded: show })).image);
    }
    throwIfAborted(signal);
  }
  return pictures;
}

/** The largest tile that the device's limits and the memory budget allow. */
export function tileSize(vae: Vae, height: number, width: number): { height: number; width: number } {
  let tile = { height, width };
  while (!fits(vae, tile)) {
    if (Math.max(tile.height, tile.width) <= SMALLEST_TILE) {
      const { peak } = vae.decodeFootprint({ images: 1, ...tile });
      const { budget, used } = vae.gpu.memory;
      throw new MemoryError(
        `Decoding even a small tile needs ${formatBytes(peak)}, but ${formatBytes(used)} of the budget of ` +
          `${formatBytes(budget)} are in use. Raise the budget.`,
        { needed: peak, used, budget },
      );
    }
    // Halve the longer side.
    tile =
      tile.height >= tile.width
        ? { ...tile, height: Math.max(SMALLEST_TILE, Math.ceil(tile.height / 2)) }
        : { ...tile, width: Math.max(SMALLEST_TILE, Math.ceil(tile.width / 2)) };
  }
  return tile;
}

function fits(vae: Vae, tile: { height: number; width: number }): boolean {
  const { peak, largest } = vae.decodeFootprint({ images: 1, ...tile });
  const { device, memory, activations }: Gpu = vae.gpu;
  const reusable = activations.reduce((sum, buffer) => sum + buffer.size, 0);
  return largest <= device.limits.maxStorageBufferBindingSize && peak <= memory.available + reusable;
}

/** Decodes overlapping tiles and fades each into the one before it, to the left and above. */
export async function decodeTiled(
  vae: Vae,
  { height, width }: Sample,
  latents: Float32Array,
  tile: { height: number; width: number },
  signal?: AbortSignal,
): Promise<Float32Array> {
  const { factor, config } = vae;
  const channels = config.outChannels;
  const [outHeight, outWidth] = [height * factor, width * factor];
  const sum = new Float32Array(outHeight * outWidth * channels);
  const total = new Float32Array(outHeight * outWidth);
  for (const top of startsOf(height, tile.height)) {
    for (const left of startsOf(width, tile.width)) {
      throwIfAborted(signal);
      const part = { images: 1, height: Math.min(tile.height, height), width: Math.min(tile.width, width) };
      const { image } = await vae.decode(
        part,
        crop(latents, config.latentChannels, height, width, { top, left, ...part }),
      );
      const [rows, columns] = [part.height * factor, part.width * factor];
      for (let y = 0; y < rows; y++) {
        const fromTop = ramp(y, rows);
        for (let x = 0; x < columns; x++) {
          const share = fromTop * ramp(x, columns);
          const at = (top * factor + y) * outWidth + left * factor + x;
          total[at]! += share;
          for (let c = 0; c < channels; c++) {
            sum[at * channels + c]! += share * image[(y * columns + x) * channels + c]!;
          }
        }
      }
    }
  }
  return sum.map((value, i) => value / total[Math.floor(i / channels)]!);
}

/** Where tiles begin so that they overlap and the last one ends at the edge. */
function startsOf(length: number, tile: number): number[] {
  if (tile >= length) return [0];
  const stride = Math.max(1, Math.floor(tile * (1 - OVERLAP)));
  const count = Math.ceil((length - tile) / stride) + 1;
  return Array.from({ length: count }, (_, i) => Math.min(i * stride, length - tile));
}

/** A tile's say at position i of its length: rising from its edges over the overlap. */
function ramp(i: number, length: number): number {
  return Math.min(1, (Math.min(i, length - 1 - i) + 1) / (length * OVERLAP));
}

/** Part of latents (C, h, w). */
function crop(
  latents: Float32Array,
  channels: number,
  height: number,
  width: number,
  part: { top: number; left: number; height: number; width: number },
): Float32Array {
  const y = new Float32Array(channels * part.height * part.width);
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < part.height; row++) {
      const from = (c * height + part.top + row) * width + part.left;
      y.set(latents.subarray(from, from + part.width), (c * part.height + row) * part.width);
    }
  }
  return y;
}

/**
 * A LoRA out of a fine-tune: the best approximation of low rank of what changed in every linear layer and convolution,
 * by singular value decomposition (as cloneofsimo's and kohya's extract scripts do).
 */

import { fromFloat32, toFloat32 } from '../checkpoint/dtype.js';
import { encodeSafetensorsHeader } from '../checkpoint/safetensors-writer.js';
import { readBytes } from '../checkpoint/source.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { throwIfAborted, UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { blendOf, checkBlend, isFloat } from '../soup/blend.js';
import { type Difference, openDifference } from './difference.js';
import type { LoraComponent } from './format.js';
import { randomizedSvd } from './randomized-svd.js';
import { type Columns, dot } from './small-svd.js';

export interface ExtractOptions {
  readonly rank: number;
  /** Of convolutions with a window; by default as the others. */
  readonly convRank?: number;
  /** What the matrices are stored as. */
  readonly dtype?: 'F16' | 'F32';
  readonly iterations?: number;
  readonly seed?: bigint;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What became of one weight. */
export interface ExtractedTensor {
  readonly key: string;
  readonly rank: number;
  /** ‖D‖, the size of the change. */
  readonly norm: number;
  /** ‖D - up @ down‖ / ‖D‖ with the matrices as they are stored; known to about 0.001. */
  readonly error: number;
}

export interface ExtractedLora {
  /** Names, shapes and bytes of the file's tensors, kohya's format. */
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: 'F16' | 'F32';
    readonly shape: readonly number[];
    readonly bytes: Uint8Array<ArrayBuffer>;
  }[];
  readonly report: readonly ExtractedTensor[];
  /** ‖D - up @ down‖ / ‖D‖ over all layers of the report. */
  readonly error: number;
  /** Weights that changed and that a LoRA does not hold: biases, norms, embeddings. */
  readonly leftOut: readonly string[];
  /** The part of the whole change, by norm, that those have. */
  readonly leftOutShare: number;
}

const PREFIXES: Readonly<Record<LoraComponent, string>> = { unet: 'lora_unet_', text_encoder: 'lora_te_' };
const MOST_RANK = 1024;

/** Layers that LoRAs change: matrices and convolutions, but no tables. */
const isLayer = ({ name, shape }: TensorInfo): boolean =>
  name.endsWith('.weight') && (shape.length === 2 || shape.length === 4) && !/embedding\.weight$/.test(name);

export async function extractLora(
  gpu: Gpu,
  component: LoraComponent,
  tuned: Weights,
  base: Weights,
  options: ExtractOptions,
): Promise<ExtractedLora> {
  for (const rank of [options.rank, options.convRank ?? options.rank]) {
    if (Number.isInteger(rank) && rank >= 1 && rank <= MOST_RANK) continue;
    throw new UsageError(`the rank is ${rank}; expected a whole number from 1 to ${MOST_RANK}`, { rank });
  }
  checkBlend(blendOf([tuned, base]));
  const infos = [...tuned.tensors.values()].filter(isFloat);
  const tensors: ExtractedLora['tensors'][number][] = [];
  const report: ExtractedTensor[] = [];
  const leftOut: string[] = [];
  let [squares, wrong, left] = [0, 0, 0];
  for (const [i, info] of infos.entries()) {
    throwIfAborted(options.signal);
    options.onProgress?.(i, infos.length);
    const square = await squareOfDifference(info, base.tensors.get(info.name)!);
    if (square === 0) continue;
    if (!isLayer(info)) {
      left += square;
      leftOut.push(info.name);
      continue;
    }
    const layer = await extractLayer(gpu, info, base.tensors.get(info.name)!, Math.sqrt(square), options);
    const stem = PREFIXES[component] + info.name.slice(0, -'.weight'.length).replaceAll('.', '_');
    for (const [role, tensor] of Object.entries(layer.tensors)) tensors.push({ name: `${stem}.${role}`, ...tensor });
    report.push(layer.report);
    squares += square;
    wrong += layer.report.error ** 2 * square;
  }
  options.onProgress?.(infos.length, infos.length);
  return {
    tensors,
    report,
    error: squares > 0 ? Math.sqrt(wrong / squares) : 0,
    leftOut,
    leftOutShare: left > 0 ? Math.sqrt(left / (left + squares)) : 0,
  };
}

async function squareOfDifference(a: TensorInfo, b: TensorInfo): Promise<number> {
  const [x, y] = await Promise.all(
    [a, b].map(async ({ source, offset, byteLength, dtype }) =>
      toFloat32(await readBytes(source, offset, byteLength), dtype),
    ),
  );
  let sum = 0;
  for (let i = 0; i < x!.length; i++) sum += (x![i]! - y![i]!) ** 2;
  if (Number.isFinite(sum)) return sum;
  throw new UsageError(`${a.name} has numbers in it that are not finite: there is no difference to take`, {
    tensor: a.name,
  });
}

async function extractLayer(gpu: Gpu, info: TensorInfo, base: TensorInfo, norm: number, options: ExtractOptions) {
  const { dtype = 'F16', iterations, seed } = options;
  const [rows, channels, ...kernel] = info.shape as [number, number, ...number[]];
  const hasWindow = kernel.some((side) => side > 1);
  const wanted = hasWindow ? (options.convRank ?? options.rank) : options.rank;
  const difference = await openDifference(gpu, info, base);
  try {
    const { u, s, v } = await randomizedSvd(difference, {
      rank: wanted,
      ...(iterations !== undefined && { iterations }),
      ...(seed !== undefined && { seed }),
    });
    const rank = s.length;
    // Halves lose least when both matrices are of one size.
    const roots = s.map(Math.sqrt);
    const up = store(u, roots, dtype, true);
    const down = store(v, roots, dtype, false);
    const error = await errorOf(difference, norm, up.columns, down.columns);
    const tensors = {
      'lora_up.weight': { dtype, shape: [rows, rank, ...kernel.map(() => 1)], bytes: up.bytes },
      'lora_down.weight': { dtype, shape: [rank, channels, ...kernel], bytes: down.bytes },
      alpha: { dtype, shape: [], bytes: fromFloat32(Float32Array.of(rank), dtype) },
    } as const;
    return { tensors, report: { key: info.name, rank, norm, error } };
  } finally {
    difference.destroy();
  }
}

/** Columns times their roots, as bytes and as what those bytes mean. */
function store(columns: Columns, roots: Float64Array, dtype: 'F16' | 'F32', isUp: boolean) {
  const [rank, length] = [columns.length, columns[0]!.length];
  const flat = new Float32Array(rank * length);
  for (const [r, column] of columns.entries()) {
    for (let k = 0; k < length; k++) flat[isUp ? k * rank + r : r * length + k] = column[k]! * roots[r]!;
  }
  const bytes = fromFloat32(flat, dtype);
  const stored = toFloat32(bytes, dtype);
  const read = columns.map((_, r) =>
    Float64Array.from({ length }, (_, k) => stored[isUp ? k * rank + r : r * length + k]!),
  );
  return { bytes, columns: read };
}

/** ‖D - UV‖² = ‖D‖² - 2 <U, DVᵀ> + <UᵀU, VVᵀ>. */
async function errorOf(difference: Difference, norm: number, u: Columns, v: Columns): Promise<number> {
  const projected = await difference.times(v);
  let square = norm ** 2;
  for (const [r, column] of u.entries()) {
    square -= 2 * dot(column, projected[r]!);
    for (const [t, other] of u.entries()) square += dot(column, other) * dot(v[r]!, v[t]!);
  }
  return Math.sqrt(Math.max(0, square)) / norm;
}

/** The file: kohya's format, with the metadata that programs look for. No dates, so that it is the same every time. */
export function loraFile(
  { tensors }: Pick<ExtractedLora, 'tensors'>,
  rank: number,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const { header, offsets, size } = encodeSafetensorsHeader(tensors, {
    format: 'pt',
    ss_network_module: 'networks.lora',
    ss_network_dim: String(rank),
    ss_network_alpha: rank.toFixed(1),
    ...metadata,
  });
  const file = new Uint8Array(size);
  file.set(header);
  for (const { name, bytes } of tensors) file.set(bytes, offsets.get(name)!);
  return file;
}

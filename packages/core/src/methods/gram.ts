/**
 * What ingredients look like from each other: for every tensor the matrix of inner products, or of squared distances,
 * of N ingredients, measured on the GPU in one pass over the files. The methods that follow from it (slerp.ts,
 * model-stock.ts, geometric-median.ts) are then arithmetic of N x N numbers.
 */
import { printable } from '../checkpoint/printable.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { CheckpointError, throwIfAborted, UsageError } from '../errors.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { elementCount } from '../gpu/graph.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';
import { isFloat } from '../soup/blend.js';
import { createStage, elementsThatFit } from './stage.js';

/**
 * `products`: <θ_i, θ_j>. `deltas`: <θ_i - θ_0, θ_j - θ_0>, θ_0 being the base. `distances`: |θ_i - θ_j|², which needs no
 * base and cancels nothing.
 */
export type GramKind = 'products' | 'deltas' | 'distances';

/**
 * Symmetric, N rows of N. The error of an entry is below 2^-19 √(G_ii G_jj), of a distance below 2^-19 of itself, as long as squares stay
 * normal f32 numbers (differences above 1e-19). Entries do not depend on the order of the ingredients.
 */
export type Gram = readonly (readonly number[])[];

export interface MeasureOptions {
  /** The origin of `deltas`. */
  readonly base?: Weights;
  /** Bytes read at once, on the host and on the device. */
  readonly stageBytes?: number;
  readonly signal?: AbortSignal;
  /** Bytes measured so far, and in all, over every ingredient. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Ingredients at most: the matrix grows with the square of their number. */
export const MAX_INGREDIENTS = 64;

const STAGE_BYTES = 16 * 2 ** 20;
const RESULT_BYTES = 8 * 2 ** 20;
const MAX_PIECES = 512;
const PARAMS_PITCH = 256;
const WORKGROUP = 64;
/** Elements of a tile. Pieces begin at tiles, so that the sums do not depend on how tensors are cut. */
const TILE = 16 * WORKGROUP;
const BLOCK = 4;
const MATRIX_BYTES = BLOCK * BLOCK * 4;

interface Piece {
  readonly key: string;
  readonly tensors: readonly TensorInfo[];
  readonly first: number;
  readonly count: number;
}

/** The matrices of all float tensors, by name. The ingredients must have the same tensors (checkBlend). */
export async function measure(
  gpu: Gpu,
  ingredients: readonly Weights[],
  kind: GramKind,
  { base, stageBytes = STAGE_BYTES, signal, onProgress }: MeasureOptions = {},
): Promise<Map<string, Gram>> {
  const n = ingredients.length;
  if (n === 0 || n > MAX_INGREDIENTS) {
    throw new UsageError(`${n} ingredients cannot be measured; give 1 to ${MAX_INGREDIENTS}`, { ingredients: n });
  }
  if (kind === 'deltas' && !base) throw new UsageError('differences from a base were asked for, but there is no base');
  const all = kind === 'deltas' ? [...ingredients, base!] : ingredients;
  const keys = [...ingredients[0]!.tensors].filter(([, info]) => isFloat(info)).map(([key]) => key);
  const pieces = keys.flatMap((key) => cut(key, all, n, stageBytes));
  const bytesOf = ({ tensors, count }: Piece) =>
    tensors.reduce((sum, info) => sum + (info.byteLength / elementCount(info.shape)) * count, 0);
  const total = pieces.reduce((sum, piece) => sum + bytesOf(piece), 0);
  const sums = new Map(keys.map((key) => [key, new Float64Array(n * n)]));
  const measuring = createMeasuring(gpu, n, kind, stageBytes, sums);
  let done = 0;
  try {
    for (const piece of pieces) {
      throwIfAborted(signal);
      await measuring.add(piece);
      done += bytesOf(piece);
      onProgress?.(done, total);
    }
    await measuring.finish();
  } finally {
    await measuring.destroy();
  }
  return new Map(keys.map((key) => [key, matrixOf(key, sums.get(key)!, ingredients)]));
}

const blocksOf = (n: number): number => Math.ceil(n / BLOCK);
const resultBytes = (n: number, count: number): number => Math.ceil(count / TILE) * blocksOf(n) ** 2 * MATRIX_BYTES;

function cut(key: string, all: readonly Weights[], n: number, stageBytes: number): Piece[] {
  const tensors = all.map((weights) => weights.tensors.get(key)!);
  const elements = elementCount(tensors[0]!.shape);
  const most = Math.min(elementsThatFit(tensors, stageBytes, TILE), (RESULT_BYTES / resultBytes(n, 1)) * TILE);
  return Array.from({ length: Math.ceil(elements / most) }, (_, i) => ({
    key,
    tensors,
    first: i * most,
    count: Math.min(most, elements - i * most),
  }));
}

function createMeasuring(gpu: Gpu, n: number, kind: GramKind, stageBytes: number, sums: Map<string, Float64Array>) {
  const { device } = gpu;
  // A stage holds one tile of every tensor at least.
  const smallest = (n + 1) * (TILE * 4 + 64);
  const stage = createStage(gpu, Math.max(stageBytes, smallest));
  const params = gpu.createBuffer(MAX_PIECES * PARAMS_PITCH, Usage.UNIFORM | Usage.COPY_DST, 'measuring parameters');
  const results = gpu.createBuffer(RESULT_BYTES, Usage.STORAGE | Usage.COPY_SRC, 'measured products');
  const constants = { WORKGROUP, DELTAS: kind === 'deltas', DISTANCES: kind === 'distances' };
  const blocks = blocksOf(n);
  let batch: { piece: Piece; table: number; at: number }[] = [];
  let filled = 0;
  /** The batch before, which the GPU works on while this one is read. */
  let running: Promise<void> = Promise.resolve();

  async function flush(): Promise<void> {
    await running;
    if (batch.length === 0) return;
    const { source, pipeline, layout } = getPipeline(gpu, 'gram', { constants });
    const packed = new ArrayBuffer(batch.length * PARAMS_PITCH);
    stage.upload();
    const encoder = device.createCommandEncoder({ label: 'gram' });
    const pass = encoder.beginComputePass({ label: 'gram' });
    pass.setPipeline(pipeline);
    batch.forEach(({ piece, table, at }, i) => {
      const values = { elements: piece.count, table, ingredients: n, blocks, first: at / MATRIX_BYTES };
      packParams(source, values, new DataView(packed, i * PARAMS_PITCH, PARAMS_PITCH));
      const entries = [
        { binding: 0, resource: { buffer: params, offset: i * PARAMS_PITCH, size: PARAMS_PITCH } },
        { binding: 1, resource: { buffer: stage.buffer } },
        { binding: 2, resource: { buffer: results } },
      ];
      pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(Math.ceil(piece.count / TILE), blocks, blocks);
    });
    pass.end();
    device.queue.writeBuffer(params, 0, packed);
    device.queue.submit([encoder.finish()]);
    const measured = batch;
    running = readBuffer(gpu, results, filled, 'measuring ingredients').then((bytes) => {
      for (const { piece, at } of measured)
        collect(sums.get(piece.key)!, n, new Float32Array(bytes, at, resultBytes(n, piece.count) / 4));
    });
    running.catch(() => {}); // waited for, and reported, before the next batch
    batch = [];
    filled = 0;
  }

  return {
    async add(piece: Piece) {
      const bytes = resultBytes(n, piece.count);
      const isFull = batch.length === MAX_PIECES || filled + bytes > RESULT_BYTES;
      if (isFull || !stage.fits(piece.tensors, piece.count)) await flush();
      batch.push({ piece, table: await stage.add(piece.tensors, piece.first, piece.count), at: filled });
      filled += bytes;
    },
    async finish() {
      await flush();
      await running;
    },
    async destroy() {
      await Promise.allSettled([running]);
      stage.destroy();
      for (const buffer of [params, results]) gpu.destroyBuffer(buffer);
    },
  };
}

/** Adds a piece's tiles to the upper half of the matrix. */
function collect(sum: Float64Array, n: number, tiles: Float32Array): void {
  const blocks = blocksOf(n);
  const perTile = blocks * blocks * BLOCK * BLOCK;
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      const block = Math.floor(i / BLOCK) * blocks + Math.floor(j / BLOCK);
      const at = (block * BLOCK + (j % BLOCK)) * BLOCK + (i % BLOCK); // WGSL stores matrices by columns
      for (let tile = at; tile < tiles.length; tile += perTile) sum[i * n + j]! += tiles[tile]!;
    }
  }
}

function matrixOf(key: string, sum: Float64Array, ingredients: readonly Weights[]): Gram {
  const n = ingredients.length;
  const gram = ingredients.map((_, i) => ingredients.map((_, j) => sum[Math.min(i, j) * n + Math.max(i, j)]!));
  const bad = gram.flat().findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return gram;
  const row = gram.findIndex((row, i) => !Number.isFinite(row[i]!));
  const { name } = ingredients[row < 0 ? Math.floor(bad / n) : row]!;
  throw new CheckpointError(
    `${printable(name, 1000)}: tensor "${printable(key)}" holds infinities, NaNs, or numbers whose squares pass 3e38; ` +
      'its direction cannot be measured. Use another checkpoint, or a method without angles and distances, such as linear.',
    { file: name, tensor: key },
  );
}

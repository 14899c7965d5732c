/**
 * The weights a model asks for. Building a model names every weight by the checkpoint's own path and gets a tensor
 * at once, shape checked, memory counted; `load` then fills them all, in the order of the file. Loading again
 * from another blend re-blends in place: the model does not change.
 */

import { CheckpointError, IncompatibleError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { type Storage, show, type Tensor } from '../gpu/graph.js';
import { storageBytes } from '../gpu/recording.js';
import { bodyOf, type Matrix, WIDEST_TILE } from '../ops/weights.js';
import { averagePieces, STAGING_BYTES } from './averager.js';
import { type Average, averageOf, type Blend, checkBlend, isFloat } from './blend.js';
import { createLarder, type Larder } from './larder.js';
import { createPages } from './pages.js';
import { residentBytes } from './residents.js';
import { type Piece, pieceBytes, stagedBytes, type Target } from './staging.js';

/** A place in the checkpoint: `w.at('down_blocks', 0).at('conv1').matrix(...)`. */
export interface WeightScope {
  /** The path so far, as module names are written: "down_blocks.0.conv1". */
  readonly path: string;
  at(...names: (string | number)[]): WeightScope;
  /** Whether the checkpoint has a tensor of this name, or any below it. */
  has(name: string): boolean;
  /** A bias, a norm's scale, an embedding table: f32 in the file's order. */
  vector(name: string, shape: readonly number[]): Tensor;
  /** A linear layer (rows, channels) or convolution (rows, channels, kernel, kernel). */
  matrix(name: string, rows: number, channels: number, kernel?: number): Matrix;
  /** Linear layers of this size, one below the other; undefined where matrices do not lie in blocks for tiles. */
  joint(names: readonly string[], rows: number, channels: number): Matrix | undefined;
  /** Vectors of this length, one behind the other. */
  jointVector(names: readonly string[], length: number): Tensor;
}

export interface LoadOptions {
  /** Keep the ingredients on the device where there is room, so that other weights need not read them again. */
  readonly residents?: boolean;
  readonly signal?: AbortSignal;
  /** Bytes read so far, and in all, over every ingredient. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Parameters {
  readonly scope: WeightScope;
  /** Bytes held on the device. */
  readonly bytes: number;
  /** Bytes of ingredients that are kept there besides. */
  readonly residentBytes: number;
  /** All have been asked for: gives them memory. Refuses tensors that nobody did, unless known to be without effect. */
  refuseUnused(isIgnorable?: (key: string) => boolean): void;
  load(blend: Blend, options?: LoadOptions): Promise<void>;
  destroy(): void;
}

interface Parameter {
  readonly key: string;
  readonly rows: number;
  /** Of how many rows that lie together these are, and how many of those come before. */
  readonly allRows: number;
  readonly rowsBefore: number;
  readonly channels: number;
  readonly taps: number;
  readonly width: 0 | 1 | 4 | 32;
  readonly packed: boolean;
  readonly storage: Storage;
  readonly bytes: number;
  /** The first of those that lie together, if this is another. */
  readonly beside?: Parameter;
  /** Where it lies, once all parameters are known. */
  target?: Target;
  /** What it is the average of: what would be the same again is neither read nor averaged. */
  held?: Average;
}

type Asked = Omit<Parameter, 'storage' | 'bytes' | 'allRows' | 'rowsBefore'>;

/** `prefix` is put before every path, for files that keep several models. */
export function createParameters(gpu: Gpu, blend: Blend): Parameters {
  checkBlend(blend);
  const weights = blend.ingredients[0]!;
  const parameters: Parameter[] = [];
  const larder = createLarder(gpu);
  const buffers: GPUBuffer[] = [];

  function find(key: string, accepted: readonly (readonly number[])[]): void {
    const info = weights.tensors.get(key);
    if (!info) {
      throw new IncompatibleError(
        `${weights.name} has no tensor "${key}", which its config asks for. The config and the weights do not belong together.`,
        { tensor: key, file: weights.name },
      );
    }
    if (!accepted.some((shape) => shape.join() === info.shape.join())) {
      throw new IncompatibleError(
        `${key} in ${weights.name} is ${show(info.shape)}; its config asks for ${show(accepted[0]!)}. ` +
          'The config and the weights do not belong together.',
        { tensor: key, file: weights.name, found: info.shape, expected: accepted[0] },
      );
    }
    if (!isFloat(info)) {
      throw new CheckpointError(
        `${key} in ${weights.name} is ${info.dtype}; weights are read as F16, BF16, F32 or F64.`,
        { tensor: key, file: weights.name, byte: info.offset },
      );
    }
  }

  function keep(parameter: Asked, { allRows = parameter.rows, rowsBefore = 0 } = {}): Parameter {
    const { key, channels, taps, width, packed, beside } = parameter;
    const storage: Storage = { type: packed ? 'f16' : 'f32', elements: allRows * channels * taps, label: key };
    const bytes =
      storageBytes(storage.type, storage.elements) +
      (width === 32 ? storageBytes(storage.type, WIDEST_TILE * width) : 0);
    const { name } = weights.tensors.get(key)!; // the very string of the file, by which maps find it twice as fast
    const kept = {
      ...parameter,
      key: name === key ? name : key,
      allRows,
      rowsBefore,
      storage: beside?.storage ?? storage,
    };
    parameters.push({ ...kept, bytes });
    return parameters.at(-1)!;
  }

  /** Of as many rows each, in one storage. */
  function keepAll(all: readonly Omit<Asked, 'beside'>[]): Parameter {
    const allRows = all.reduce((sum, { rows }) => sum + rows, 0);
    let first: Parameter | undefined;
    for (const [i, one] of all.entries()) {
      const kept = keep({ ...one, beside: first }, { allRows, rowsBefore: i * one.rows });
      first ??= kept;
    }
    return first!;
  }

  /** How a matrix lies on the device. */
  function layoutOf(key: string, channels: number, kernel = 1): Pick<Matrix, 'width' | 'packed'> {
    const isHalf = averageOf(blend, key).result === 'F16';
    const isTiled = bodyOf(gpu, { kernel, packed: isHalf }) !== undefined;
    const width = channels % 4 !== 0 ? 1 : isTiled && channels % 32 === 0 ? 32 : 4;
    return { width, packed: width !== 1 && isHalf };
  }

  /** Gives memory to what has been asked for since it was called before. */
  function place(): void {
    const fresh = parameters.filter(({ target }) => !target);
    if (fresh.length === 0) return;
    const kindOf = ({ width, taps, packed }: Parameter) => `${width} ${taps} ${packed}`;
    const apart = fresh.filter(({ beside }) => !beside);
    const pages = createPages(
      gpu,
      apart.map((parameter) => ({ ...parameter, kind: kindOf(parameter) })),
    );
    buffers.push(...pages.buffers);
    for (const [i, parameter] of apart.entries()) {
      const { buffer, offset } = pages.targets[i]!;
      parameter.target = pages.targets[i]!;
      Object.assign(parameter.storage, { buffer, offset });
    }
    // A target of its own for each, since it is by its target that an average is known.
    for (const parameter of fresh) if (parameter.beside) parameter.target = { ...parameter.beside.target! };
  }

  function scope(path: string): WeightScope {
    const below = (name: string | number) => (path === '' ? `${name}` : `${path}.${name}`);
    return {
      path,
      at: (...names) => scope(below(names.join('.'))),
      has: (name) =>
        weights.tensors.has(below(name)) ||
        [...weights.tensors.keys()].some((key) => key.startsWith(`${below(name)}.`)),
      vector(name, shape) {
        const key = below(name);
        find(key, [shape]);
        const rows = shape.reduce((a, b) => a * b, 1);
        return { shape, storage: keep({ key, rows, channels: 1, taps: 1, width: 0, packed: false }).storage };
      },
      matrix(name, rows, channels, kernel = 1) {
        const key = below(name);
        // A 1x1 convolution and a linear layer are the same thing; files have either.
        find(
          key,
          kernel === 1
            ? [
                [rows, channels],
                [rows, channels, 1, 1],
              ]
            : [[rows, channels, kernel, kernel]],
        );
        const taps = kernel * kernel;
        const layout = layoutOf(key, channels, kernel);
        const { storage } = keep({ key, rows, channels, taps, ...layout });
        return { data: { shape: [rows, channels * taps], storage }, rows, inner: channels * taps, kernel, ...layout };
      },
      joint(names, rows, channels) {
        const keys = names.map(below);
        for (const key of keys) find(key, [[rows, channels]]);
        const layouts = keys.map((key) => layoutOf(key, channels));
        if (layouts.some(({ width }) => width !== 32)) return undefined;
        const { storage, allRows } = keepAll(keys.map((key, i) => ({ key, rows, channels, taps: 1, ...layouts[i]! })));
        const data = { shape: [allRows, channels], storage };
        return { data, rows: allRows, inner: channels, kernel: 1, ...layouts[0]! };
      },
      jointVector(names, length) {
        const keys = names.map(below);
        for (const key of keys) find(key, [[length]]);
        const vector = { rows: length, channels: 1, taps: 1, width: 0, packed: false } as const;
        const { storage, allRows } = keepAll(keys.map((key) => ({ key, ...vector })));
        return { shape: [allRows], storage };
      },
    };
  }

  return {
    scope: scope(''),
    get bytes() {
      return buffers.reduce((sum, { size }) => sum + size, 0);
    },
    refuseUnused(isIgnorable = () => false) {
      const used = new Set(parameters.map(({ key }) => key));
      const unused = [...weights.tensors.keys()].filter((key) => !used.has(key) && !isIgnorable(key));
      if (unused.length === 0) return place();
      throw new IncompatibleError(
        `${weights.name} has ${unused.length} tensors that its config does not account for; the first is "${unused[0]}". ` +
          'This is another architecture than the config says, or an adapter that has to be merged first.',
        { tensor: unused[0], file: weights.name, count: unused.length },
      );
    },
    get residentBytes() {
      return larder.bytes;
    },
    load(from, options) {
      place();
      return load(gpu, { parameters, larder }, from, options);
    },
    destroy() {
      larder.destroy();
      for (const buffer of buffers) gpu.destroyBuffer(buffer);
    },
  };
}

interface Loading {
  readonly parameters: readonly Parameter[];
  readonly larder: Larder;
}

async function load(gpu: Gpu, { parameters, larder }: Loading, blend: Blend, options: LoadOptions = {}): Promise<void> {
  const { signal, onProgress } = options;
  const wanted = new Map<Target, Average>();
  for (const parameter of parameters) {
    const average = averageOf(blend, parameter.key);
    if (isSame(parameter.held, average)) continue;
    parameter.held = undefined; // until it is there, in case that this is broken off
    wanted.set(parameter.target!, average);
  }
  if (options.residents) {
    const all = () =>
      parameters.flatMap((parameter) => cut(parameter, everyTerm(blend, parameter.key), residentBytes(gpu)));
    await larder.stock(all, { signal, onProgress });
  }
  const filled = await larder.average(wanted);
  const toRead = parameters.filter(({ target }) => wanted.has(target!) && !filled.has(target!));
  toRead.sort((a, b) => position(blend, a) - position(blend, b));
  const pieces = toRead.flatMap((parameter) => cut(parameter, wanted.get(parameter.target!)!, STAGING_BYTES));
  const total = pieces.reduce((sum, piece) => sum + pieceBytes(piece), 0);
  let done = 0;
  for await (const { pieces: averaged } of averagePieces(gpu, pieces, { signal })) {
    done += averaged.reduce((sum, piece) => sum + pieceBytes(piece), 0);
    onProgress?.(done, total);
  }
  await gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'loading weights');
  for (const parameter of parameters) parameter.held = wanted.get(parameter.target!) ?? parameter.held;
}

/** A parameter's average with all that other weights could give it. */
function everyTerm(blend: Blend, key: string): Average {
  const average = averageOf(blend, key);
  if (blend.isEqual?.(key)) return average;
  return { ...average, terms: blend.ingredients.map(({ tensors }) => ({ info: tensors.get(key)!, p: 0 })) };
}

/** Of the same numbers, by the same weights. Ingredients that are opened again are not taken for the same. */
function isSame(a: Average | undefined, b: Average): boolean {
  if (!a || a.q !== b.q || a.result !== b.result || a.terms.length !== b.terms.length) return false;
  if (a.allowNonFinite !== b.allowNonFinite || a.keepZeroSign !== b.keepZeroSign) return false;
  return a.terms.every(({ info, p }, i) => info === b.terms[i]!.info && p === b.terms[i]!.p);
}

const position = (blend: Blend, { key }: Parameter): number => blend.ingredients[0]!.tensors.get(key)?.offset ?? 0;

/** Pieces of a parameter that fit so much memory, whole rows each; an even number of them, so that words are whole. */
function cut(parameter: Parameter, planned: Average, bytes: number): Piece[] {
  const { rows, allRows, rowsBefore, channels, taps, width, packed, target } = parameter;
  const average = packed ? { ...planned, result: 'F16' as const } : planned; // another blend may be of another type
  const rowBytes = average.terms.reduce((sum, { info }) => sum + channels * taps * stagedBytes(info), 0);
  const most = Math.max(2, Math.floor((bytes - 4096) / rowBytes / 2) * 2);
  const pieces: Piece[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += most) {
    const taken = Math.min(most, rows - firstRow);
    pieces.push({ average, firstRow, rows: taken, allRows, rowsBefore, channels, taps, target, width, packed });
  }
  return pieces;
}

/**
 * Do the matrix units compute what the other kernels compute? Products, convolutions and attention at odd and at real
 * sizes, on both, from the same weights. Drivers are young here; who opens a device with matrix units asks this first.
 */
import { encodeSafetensorsHeader, f32ToF16Bits, openSafetensors } from '../checkpoint/index.js';
import { bytesSource } from '../checkpoint/source.js';
import { type Gpu, type MatrixUnits, type Precision, withTier } from '../gpu/gpu.js';
import { cast, graphOf, type Tensor } from '../gpu/graph.js';
import { kernelSource } from '../gpu/kernel.js';
import { compile, createPlan } from '../gpu/plan.js';
import { type Recording, record } from '../gpu/recording.js';
import { conv2dAndShortcut, linear, linearOfSum, linears } from '../model/layers.js';
import { attention } from '../ops/attention.js';
import { conv2d } from '../ops/conv2d.js';
import { add, addPerImage, geglu, silu } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { groupNorm } from '../ops/norms.js';
import { TILES } from '../ops/tiles.js';
import { blendOf } from '../soup/blend.js';
import { createParameters, type WeightScope } from '../soup/parameters.js';
import { compare } from './compare.js';

export interface MatrixUnitsResult {
  readonly name: string;
  /** |a - b| / |b| in the L2 norm, b being what the other kernels have. */
  readonly error: number;
  /** What it may be; MATRIX_UNITS_TOLERANCE where nothing is said. */
  readonly tolerance?: number;
}

/** Both round inputs to f16 and sum in f32; they differ by the order of sums and, in attention, by shares in f16. */
export const MATRIX_UNITS_TOLERANCE = 2e-3;
/** Where what halves cannot hold is multiplied as well, only sums differ: the units' own are cut off, not rounded. */
const PRECISE_TOLERANCE = 5e-5;

interface Case {
  readonly name: string;
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  build(w: WeightScope): (x: Record<string, Tensor>) => Tensor;
  /** The tile to take, if not the one that seems fastest. */
  readonly tile?: string;
  /** What activations are stored as, if not as the device would. */
  readonly precision?: Precision;
  readonly tolerance?: number;
}

function product(rows: number, inner: number, columns: number): Case {
  return {
    name: `matmul ${rows} x ${inner} x ${columns}`,
    weights: { weight: [columns, inner], bias: [columns] },
    inputs: { x: [1, rows, inner], r: [1, rows, columns] },
    build(w) {
      const [weight, bias] = [w.matrix('weight', columns, inner), w.vector('bias', [columns])];
      return ({ x, r }) => add(r!, silu(matmul(x!, weight, bias)));
    },
  };
}

function gated(rows: number, inner: number, columns: number): Case {
  return {
    name: `matmul ${rows} x ${inner} x ${columns}, gated`,
    weights: { weight: [columns, inner], bias: [columns] },
    inputs: { x: [1, rows, inner] },
    build(w) {
      const [weight, bias] = [w.matrix('weight', columns, inner), w.vector('bias', [columns])];
      return ({ x }) => geglu(matmul(x!, weight, bias));
    },
  };
}

interface Window {
  readonly stride?: number;
  readonly padding?: readonly [number, number, number, number];
  readonly upsampleTo?: readonly [number, number];
}

function convolution(shape: readonly [number, number, number, number], columns: number, window: Window = {}): Case {
  const [images, , , channels] = shape;
  return {
    name: `conv2d ${shape.join(' x ')} -> ${columns} ${JSON.stringify(window)}`,
    weights: { weight: [columns, channels, 3, 3], bias: [columns] },
    inputs: { x: shape, shift: [images, columns] },
    build(w) {
      const [weight, bias] = [w.matrix('weight', columns, channels, 3), w.vector('bias', [columns])];
      return ({ x, shift }) => addPerImage(conv2d(x!, weight, bias, window), shift!);
    },
  };
}

/** What a norm leaves for a convolution, in its border of zeros. */
function normed(shape: readonly [number, number, number, number], columns: number): Case {
  const channels = shape[3];
  return {
    name: `conv2d ${shape.join(' x ')} -> ${columns}, normed`,
    weights: { gamma: [channels], beta: [channels], weight: [columns, channels, 3, 3], bias: [columns] },
    inputs: { x: shape },
    build(w) {
      const [gamma, beta] = [w.vector('gamma', [channels]), w.vector('beta', [channels])];
      const [weight, bias] = [w.matrix('weight', columns, channels, 3), w.vector('bias', [columns])];
      return ({ x }) => conv2d(silu(groupNorm(x!, { gamma, beta, eps: 1e-5, groups: 8 })), weight, bias);
    },
  };
}

/** A convolution, and a linear layer of other channels beside it. */
function shortcut([images, height, width, channels]: readonly [number, number, number, number], columns: number): Case {
  return {
    name: `conv2d ${images} x ${height} x ${width} x ${columns}, a shortcut of ${channels}`,
    weights: {
      ...{ 'conv.weight': [columns, columns, 3, 3], 'conv.bias': [columns] },
      ...{ 'shortcut.weight': [columns, channels], 'shortcut.bias': [columns] },
    },
    inputs: { x: [images, height, width, channels], h: [images, height, width, columns] },
    build(w) {
      const layer = conv2dAndShortcut(w.at('conv'), w.at('shortcut'), channels, columns);
      return ({ x, h }) => layer(x!)(h!);
    },
  };
}

/** A linear layer of x and of what another has made. */
function ofSum(rows: number, inner: number, channels: number): Case {
  return {
    name: `matmul ${rows} x ${channels} of a sum with ${inner}`,
    weights: {
      ...{ 'first.weight': [channels, inner], 'first.bias': [channels] },
      ...{ 'second.weight': [channels, channels], 'second.bias': [channels] },
    },
    inputs: { g: [1, rows, inner], x: [1, rows, channels], r: [1, rows, channels] },
    build(w) {
      const [first, second] = [linear(w.at('first'), inner, channels), linear(w.at('second'), channels, channels)];
      return ({ g, x, r }) => {
        const both = linearOfSum(graphOf(x!).gpu, second, first) ?? ((x, g) => second(add(x, first(g))));
        return add(r!, both(x!, g!));
      };
    },
  };
}

function attending(images: number, queries: number, keys: number, heads: number, headWidth: number): Case {
  const channels = heads * headWidth;
  return {
    name: `${headWidth > 160 ? 'wide ' : ''}attention ${images} x ${queries} x ${keys}, ${heads} heads of ${headWidth}`,
    weights: {},
    inputs: { q: [images, queries, channels], k: [images, keys, channels], v: [images, keys, channels] },
    build:
      () =>
      ({ q, k, v }) =>
        attention(q!, k!, v!, { heads }),
  };
}

/** Queries, keys and values of the same input. */
function joint(images: number, tokens: number, heads: number, headWidth: number): Case {
  const channels = heads * headWidth;
  const names = ['to_q', 'to_k', 'to_v'];
  return {
    name: `joint matmul ${images} x ${tokens} x ${channels}`,
    weights: Object.fromEntries(names.map((name) => [`${name}.weight`, [channels, channels]])),
    inputs: { x: [images, tokens, channels] },
    build(w) {
      const toQkv = linears(w, names, channels, channels);
      return ({ x }) => {
        const [q, k, v] = toQkv(x!) as [Tensor, Tensor, Tensor];
        return attention(q, k, v, { heads });
      };
    },
  };
}

/** A case with activations in f32, as text encoders have them. */
const precisely = (one: Case): Case => ({
  ...one,
  ...{ name: `${one.name}, precisely`, precision: 'f32', tolerance: PRECISE_TOLERANCE },
});

/** A case in tiles of this name. */
const inTiles = (tile: string, one: Case): Case => ({ ...one, name: `${one.name}, ${tile}`, tile });

/** Every tile, ragged edges, splits of the inner dimension, widths that are not divisible by 4, every padding. */
const CASES: readonly Case[] = [
  product(1, 32, 1),
  product(3, 1280, 330),
  product(9, 64, 33),
  joint(1, 3, 1, 32),
  joint(2, 70, 3, 32),
  product(130, 64, 70),
  product(200, 320, 323),
  product(77, 1024, 320),
  product(128, 2560, 1280),
  product(4096, 96, 1280),
  product(2500, 96, 520),
  precisely(product(21, 96, 70)),
  precisely(product(154, 1024, 4096)),
  gated(33, 64, 38),
  gated(70, 32, 520),
  gated(4096, 96, 640),
  gated(40, 1024, 64),
  convolution([2, 9, 7, 32], 33),
  convolution([1, 16, 16, 64], 64, { stride: 2 }),
  convolution([1, 9, 9, 64], 32, { stride: 2, padding: [0, 1, 1, 0] }),
  convolution([2, 8, 8, 96], 128, { upsampleTo: [16, 16] }),
  convolution([1, 5, 6, 32], 4, { upsampleTo: [9, 13] }),
  convolution([3, 3, 5, 64], 12, { upsampleTo: [6, 10] }),
  convolution([2, 64, 64, 32], 320),
  normed([2, 9, 7, 32], 40),
  normed([1, 128, 72, 64], 70),
  shortcut([2, 9, 7, 128], 64),
  shortcut([1, 16, 16, 192], 320),
  ofSum(70, 128, 64),
  ofSum(300, 1280, 320),
  ...[...TILES.tensor.keys()].flatMap((tile) => [
    inTiles(tile, product(300, 320, 323)),
    inTiles(tile, gated(200, 64, 520)),
    inTiles(tile, convolution([2, 13, 11, 64], 200)),
  ]),
  attending(1, 1, 1, 1, 8),
  attending(2, 70, 77, 2, 40),
  attending(1, 300, 300, 3, 64),
  attending(1, 65, 129, 2, 160),
  attending(2, 33, 260, 4, 24),
  attending(1, 96, 96, 1, 512),
];

/** Numbers that repeat, in [-1, 1), larger ones in between: the running maximum of attention has to grow late, too. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * (i % 4099 > 4000 ? 6 : 1);
  });
}

const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

async function weightsOf({ weights }: Case) {
  const tensors = Object.entries(weights).map(([name, shape]) => ({ name, dtype: 'F16' as const, shape }));
  const { header, size } = encodeSafetensorsHeader(tensors, {});
  const file = new Uint8Array(size);
  file.set(header);
  let at = header.length;
  for (const [i, { shape }] of tensors.entries()) {
    const fan = Math.sqrt(countOf(shape.slice(1)));
    const halves = Uint16Array.from(numbers(countOf(shape), 7 + i), (x) => f32ToF16Bits(x / fan));
    file.set(new Uint8Array(halves.buffer), at);
    at += halves.byteLength;
  }
  return openSafetensors(bytesSource(file, 'matrix units check'));
}

/** A case on a device, with its weights there. */
interface Prepared {
  readonly recording: Recording;
  run(): Promise<Float32Array>;
  destroy(): void;
}

async function prepare(device: Gpu, one: Case): Promise<Prepared> {
  const { tile, precision = device.precision } = one;
  const gpu = withTier(device, {
    ...{ precision, residual: precision },
    ...(tile !== undefined && { tuning: () => ({ tile, splits: 1 }) }),
  });
  const blend = blendOf([await weightsOf(one)]);
  const parameters = createParameters(gpu, blend);
  try {
    const forward = one.build(parameters.scope);
    await parameters.load(blend);
    const recording = record(gpu, one.inputs, (x) => ({
      y: forward(Object.fromEntries(Object.entries(x).map(([name, t]) => [name, cast(t, gpu.precision)]))),
    }));
    const inputs = Object.entries(one.inputs).map(([name, shape], i) => [name, numbers(countOf(shape), 99 + i)]);
    return {
      recording,
      async run() {
        const plan = createPlan(gpu, recording, one.name);
        try {
          return (await plan.run(Object.fromEntries(inputs))).y!;
        } finally {
          plan.destroy();
        }
      },
      destroy: () => parameters.destroy(),
    };
  } catch (error) {
    parameters.destroy();
    throw error;
  }
}

/** Compares, case by case. Stops at the first that is wrong unless `all` is wanted. */
export async function checkMatrixUnits(gpu: Gpu, { all = false, only = /./ } = {}): Promise<MatrixUnitsResult[]> {
  const results: MatrixUnitsResult[] = [];
  const prepared: Prepared[] = [];
  const prepareOn = async (device: Gpu, one: Case) => {
    const made = await prepare(device, one);
    prepared.push(made);
    return made;
  };
  try {
    const pairs: { name: string; tolerance: number; found: Prepared; expected: Prepared }[] = [];
    for (const one of CASES.filter(({ name }) => only.test(name))) {
      const expected = await prepareOn(withTier(gpu, { matrixUnits: 'none', tiles: false }), one);
      const { name, tolerance = MATRIX_UNITS_TOLERANCE } = one;
      pairs.push({ name, tolerance, expected, found: await prepareOn(gpu, one) });
    }
    // All shaders side by side: one after the other they take minutes.
    await Promise.all(prepared.map(({ recording }) => compile(gpu, recording)));
    for (const { name, tolerance, expected, found } of pairs) {
      const [wanted, got] = [await expected.run(), await found.run()];
      const { relativeL2, ok } = compare(name, [got.length], got, wanted, tolerance);
      results.push({ name, error: relativeL2, tolerance });
      if (!all && !ok) break;
    }
  } finally {
    for (const one of prepared) one.destroy();
  }
  return results;
}

/** What may be used: attention goes by itself, products only with everything that is made of them. */
export function judgeMatrixUnits(results: readonly MatrixUnitsResult[]): MatrixUnits {
  // NaN is no less wrong for having been null in JSON.
  const isRight = ({ error, tolerance = MATRIX_UNITS_TOLERANCE }: MatrixUnitsResult) =>
    error !== null && error <= tolerance;
  const wrong = results.filter((one) => !isRight(one)).map(({ name }) => name);
  if (wrong.length === 0) return 'all';
  return wrong.every((name) => name.startsWith('attention')) ? 'products' : 'none';
}

/** The kernels' text: a verdict holds for this, and for no other version of it. */
export const matrixKernels = (): string =>
  (
    [
      'matmul-tensor',
      'conv2d-tensor',
      'attention-tensor',
      'few-rows',
      'fold-taps',
      'fold-linears',
      'sum-splits',
      'to-blocks',
    ] as const
  )
    .map((name) => kernelSource(name).code)
    .join('\n');

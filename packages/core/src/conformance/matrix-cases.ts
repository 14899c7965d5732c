/** What the matrix units are asked to compute: every tile, and every way in which a network uses them. */
import type { Precision } from '../gpu/gpu.js';
import { graphOf, type Tensor } from '../gpu/graph.js';
import { conv2dAndShortcut, linear, linearOfSum, linears } from '../model/layers.js';
import { attention } from '../ops/attention.js';
import { conv2d } from '../ops/conv2d.js';
import { add, addPerImage, geglu, silu } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { groupNorm } from '../ops/norms.js';
import { TILES } from '../ops/tiles.js';
import type { WeightScope } from '../soup/parameters.js';

/** Where what halves cannot hold is multiplied as well, only sums differ: the units' own are cut off, not rounded. */
const PRECISE_TOLERANCE = 5e-5;

export interface Case {
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
export const CASES: readonly Case[] = [
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
  attending(1, 2048, 2048, 10, 64),
  attending(1, 96, 96, 1, 512),
];

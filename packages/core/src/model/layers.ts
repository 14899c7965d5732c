/**
 * Layers: weights in, function out. Each names its weights as the checkpoint does and shows its result under its
 * module's name to whoever asks (`tap`), which is how conformance is checked layer by layer.
 */
import type { Gpu } from '../gpu/gpu.js';
import { graphOf, type StorageType, type Tensor, tap } from '../gpu/graph.js';
import { type Conv2dOptions, conv2d as conv2dOp } from '../ops/conv2d.js';
import { add, addWeights } from '../ops/elementwise.js';
import { foldLinears, type Linear } from '../ops/fold-linears.js';
import { jointMatmul, matmul } from '../ops/matmul.js';
import { groupNorm as groupNormOp, layerNorm as layerNormOp } from '../ops/norms.js';
import { canBeBeside } from '../ops/weights.js';
import type { WeightScope } from '../soup/parameters.js';

export type Layer = (x: Tensor) => Tensor;

/** What a linear layer or a convolution has. */
const weightsOf = (w: WeightScope, inChannels: number, outChannels: number, kernel?: number): Linear => ({
  weight: w.matrix('weight', outChannels, inChannels, kernel),
  bias: w.has('bias') ? w.vector('bias', [outChannels]) : undefined,
});

export interface LinearLayer extends Layer, Linear {
  readonly path: string;
}

/** y = x · weightᵀ + bias. x (..., inChannels) -> (..., outChannels), stored as `type` or as activations are. */
export function linear(w: WeightScope, inChannels: number, outChannels: number, type?: StorageType): LinearLayer {
  const { weight, bias } = weightsOf(w, inChannels, outChannels);
  const layer = (x: Tensor) => tap(w.path, matmul(x, weight, bias, { type }));
  return Object.assign(layer, { path: w.path, weight, bias });
}

/** second(x + first(g)) as one product, g's by weights multiplied beforehand; x in halves; undefined where the device cannot. */
export function linearOfSum(
  gpu: Gpu,
  second: LinearLayer,
  first: LinearLayer,
): ((x: Tensor, g: Tensor) => Tensor) | undefined {
  if (!canBeBeside(gpu, first.weight, second.weight)) return undefined;
  return (x, g) => {
    const { weight, bias } = foldLinears(graphOf(g), first, second);
    return tap(second.path, matmul(g, weight, bias, { beside: { x, w: second.weight } }));
  };
}

/**
 * Linear layers of the same input and size, below `w`, as one product: x (..., inChannels) -> (..., outChannels) each. Undefined where
 * products do not go by tiles, or some have a bias and others none.
 */
function jointLinears(
  w: WeightScope,
  scopes: readonly WeightScope[],
  { inChannels, outChannels, type }: { inChannels: number; outChannels: number; type?: StorageType },
): ((x: Tensor) => Tensor[]) | undefined {
  const start = w.path === '' ? 0 : w.path.length + 1;
  const namesOf = (name: string) => scopes.map(({ path }) => `${path.slice(start)}.${name}`);
  const biases = scopes.filter((at) => at.has('bias')).length;
  const isAlike = biases === 0 || biases === scopes.length;
  const weight = isAlike ? w.joint(namesOf('weight'), outChannels, inChannels) : undefined;
  if (!weight) return undefined;
  const bias = biases > 0 ? w.jointVector(namesOf('bias'), outChannels) : undefined;
  return (x) => jointMatmul(x, weight, scopes.length, { bias, type }).map((y, i) => tap(scopes[i]!.path, y));
}

/**
 * Several linear layers of the same input, by their names: where the device multiplies matrices and none has a bias, one
 * product. x (..., inChannels) -> (..., outChannels) each.
 */
export function linears(
  w: WeightScope,
  names: readonly string[],
  inChannels: number,
  outChannels: number,
): (x: Tensor) => Tensor[] {
  const scopes = names.map((name) => w.at(name));
  const hasBias = scopes.some((one) => one.has('bias'));
  const joint = hasBias ? undefined : jointLinears(w, scopes, { inChannels, outChannels });
  if (joint) return joint;
  const layers = scopes.map((one) => linear(one, inChannels, outChannels));
  return (x) => layers.map((layer) => layer(x));
}

/** Linear layers of one input that are asked for one by one, all over a network. */
export interface GatheredLinears {
  /** x (..., inChannels) -> (..., outChannels). */
  linear(w: WeightScope, inChannels: number, outChannels: number): Layer;
  /** All have been asked for. */
  gather(): void;
}

/** As many as are one product: it fills any device by then, and its weights still fit a binding. */
const GATHERED = 16;

/** Where products go by tiles, those of a size are one, which the first that is computed makes for all. */
export function gatheredLinears(w: WeightScope, type?: StorageType): GatheredLinears {
  const asked = new Map<string, { inChannels: number; outChannels: number; scopes: WeightScope[] }>();
  const layers = new Map<WeightScope, Layer>();

  function gatherSome(scopes: readonly WeightScope[], inChannels: number, outChannels: number): void {
    const joint = jointLinears(w, scopes, { inChannels, outChannels, type });
    const made = new WeakMap<Tensor, Tensor[]>();
    for (const [i, at] of scopes.entries()) {
      const ofJoint = (x: Tensor) => {
        if (!made.has(x)) made.set(x, joint!(x));
        return made.get(x)![i]!;
      };
      layers.set(at, joint ? ofJoint : linear(at, inChannels, outChannels, type));
    }
  }

  return {
    linear(at, inChannels, outChannels) {
      const size = `${inChannels} ${outChannels}`;
      if (!asked.has(size)) asked.set(size, { inChannels, outChannels, scopes: [] });
      asked.get(size)!.scopes.push(at);
      return (x) => layers.get(at)!(x);
    },
    gather() {
      for (const { inChannels, outChannels, scopes } of asked.values()) {
        for (let i = 0; i < scopes.length; i += GATHERED) {
          gatherSome(scopes.slice(i, i + GATHERED), inChannels, outChannels);
        }
      }
    },
  };
}

/** Convolution over x (N, H, W, inChannels); padding keeps the size at stride 1. */
export function conv2d(
  w: WeightScope,
  inChannels: number,
  outChannels: number,
  { kernel = 3, ...fixed }: Conv2dOptions & { kernel?: number } = {},
): (x: Tensor, options?: Conv2dOptions) => Tensor {
  if (kernel === 1) return linear(w, inChannels, outChannels);
  const { weight, bias } = weightsOf(w, inChannels, outChannels, kernel);
  return (x, options) => tap(w.path, conv2dOp(x, weight, bias, { ...fixed, ...options }));
}

/** conv(h) + x, for x and then h (N, H, W, channels), which is made of it. */
export function conv2dAndInput(conv: WeightScope, channels: number) {
  const layer = conv2d(conv, channels, channels);
  return (x: Tensor): Layer =>
    (h) =>
      add(x, layer(h));
}

/**
 * conv(h) + shortcut(x), a convolution by 3 x 3 and one by 1 x 1, for x (N, H, W, inChannels) and then h (N, H, W, outChannels), which
 * is made of it. On the matrix units that is one product, unless somebody asks for either.
 */
export function conv2dAndShortcut(conv: WeightScope, shortcut: WeightScope, inChannels: number, outChannels: number) {
  const { weight, bias } = weightsOf(conv, outChannels, outChannels, 3);
  const linearShortcut = linear(shortcut, inChannels, outChannels);
  return (x: Tensor): Layer => {
    const { gpu, wantsTap } = graphOf(x);
    const isAsked = wantsTap(conv.path) || wantsTap(shortcut.path);
    if (!isAsked && x.storage.type === 'f16' && canBeBeside(gpu, weight, linearShortcut.weight)) {
      const beside = { x, w: linearShortcut.weight };
      const [one, other] = [bias, linearShortcut.bias];
      const both = one && other ? addWeights(graphOf(x), one, other) : (one ?? other);
      return (h) => conv2dOp(h, weight, both, { type: 'residual', beside });
    }
    const residual = linearShortcut(x);
    return (h) => add(residual, tap(conv.path, conv2dOp(h, weight, bias)));
  };
}

export function groupNorm(w: WeightScope, channels: number, groups: number, eps: number): Layer {
  const gamma = w.vector('weight', [channels]);
  const beta = w.vector('bias', [channels]);
  return (x) => tap(w.path, groupNormOp(x, { gamma, beta, groups, eps }));
}

export function layerNorm(w: WeightScope, channels: number, eps: number): Layer {
  const gamma = w.vector('weight', [channels]);
  const beta = w.vector('bias', [channels]);
  return (x) => tap(w.path, layerNormOp(x, { gamma, beta, eps }));
}

/** [0, 1, ..., n - 1].map(f), for the numbered modules of a checkpoint. */
export const times = <T>(n: number, f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));

/** Ops that go element by element. */
import { IncompatibleError } from '../errors.js';
import { type Activation, activationCode } from '../gpu/activate.js';
import { call, elementCount, graphOf, show, spread, type Tensor } from '../gpu/graph.js';

/** y = activation(x). */
export function activate(activation: Activation, x: Tensor): Tensor {
  if (activation === 'none') return x;
  const graph = graphOf(x);
  const size = elementCount(x.shape);
  return call(graph, {
    kernel: 'unary',
    inputs: { x },
    shape: x.shape,
    activation,
    dispatch: (node) => ({
      variant: { elem: graph.gpu.precision, constants: { ACTIVATION: activationCode(node.activation) } },
      params: { size },
      workgroups: spread(size, 256),
    }),
  });
}

/** SiLU, x · sigmoid(x) (Elfwing et al., arXiv 1702.03118). */
export const silu = (x: Tensor): Tensor => activate('silu', x);

/**
 * a + b. b has a's shape, or misses leading dimensions (repeated over them), or is (N, C) beside
 * a (N, H, W, C): one row of channels per image.
 */
export function add(a: Tensor, b: Tensor): Tensor {
  const graph = graphOf(a);
  const size = elementCount(a.shape);
  const period = elementCount(b.shape);
  const isSuffix = b.shape.every((length, i) => length === a.shape[a.shape.length - b.shape.length + i]);
  const isPerImage = a.shape.length === 4 && b.shape.length === 2 && b.shape[0] === a.shape[0] && b.shape[1] === a.shape[3];
  if (!isSuffix && !isPerImage) throw new IncompatibleError(`cannot add ${show(b.shape)} to ${show(a.shape)}`);
  return call(graph, {
    kernel: 'add',
    inputs: { a, b },
    shape: a.shape,
    dispatch: () => ({
      variant: { elem: graph.gpu.precision, aliases: { BElem: b.storage.type } },
      params: isSuffix
        ? { size, per_image: size, b_image: 0, period }
        : { size, per_image: size / a.shape[0]!, b_image: b.shape[1]!, period: b.shape[1]! },
      workgroups: spread(size, 256),
    }),
  });
}

/** GEGLU: the first half of the channels times gelu of the second half. x (..., 2C) -> (..., C). */
export function geglu(x: Tensor): Tensor {
  const graph = graphOf(x);
  const channels = x.shape.at(-1)! / 2;
  const size = elementCount(x.shape) / 2;
  return call(graph, {
    kernel: 'geglu',
    inputs: { x },
    shape: [...x.shape.slice(0, -1), channels],
    dispatch: () => ({
      variant: { elem: graph.gpu.precision },
      params: { size, channels },
      workgroups: spread(size, 256),
    }),
  });
}

/** a and b side by side along the channels. */
export function concat(a: Tensor, b: Tensor): Tensor {
  const graph = graphOf(a);
  const [aChannels, bChannels] = [a.shape.at(-1)!, b.shape.at(-1)!];
  const shape = [...a.shape.slice(0, -1), aChannels + bChannels];
  const size = elementCount(shape);
  if (size !== elementCount(a.shape) + elementCount(b.shape)) {
    throw new IncompatibleError(`cannot put ${show(b.shape)} beside ${show(a.shape)}`);
  }
  return call(graph, {
    kernel: 'concat',
    inputs: { a, b },
    shape,
    dispatch: () => ({
      variant: { elem: graph.gpu.precision },
      params: { size, a_channels: aChannels, b_channels: bChannels },
      workgroups: spread(size, 256),
    }),
  });
}

/** Sinusoidal embedding (N, channels) of timesteps t (N). */
export function timestepEmbedding(
  t: Tensor,
  { channels, flip, freqShift }: { channels: number; flip: boolean; freqShift: number },
): Tensor {
  const graph = graphOf(t);
  const size = t.shape[0]! * channels;
  return call(graph, {
    kernel: 'timestep-embedding',
    inputs: { x: t },
    shape: [t.shape[0]!, channels],
    dispatch: () => ({
      variant: { elem: graph.gpu.precision, constants: { FLIP: flip } },
      params: { size, channels, freq_shift: freqShift },
      workgroups: spread(size, 64),
    }),
  });
}

/** Ops that go element by element. */
import { IncompatibleError } from '../errors.js';
import { type Activation, activationCode } from '../gpu/activate.js';
import {
  call,
  type Dispatch,
  elementCount,
  type Graph,
  graphOf,
  type Node,
  type StorageType,
  show,
  spread,
  type Tensor,
} from '../gpu/graph.js';
import { summedConstants } from './epilogue.js';

/** y = activation(x). */
export function activate(activation: Activation, x: Tensor): Tensor {
  if (activation === 'none') return x;
  const graph = graphOf(x);
  const size = elementCount(x.shape);
  return call(graph, {
    kernel: 'unary',
    inputs: { x },
    shape: x.shape,
    type: x.storage.type,
    activation,
    dispatch: (node) => ({
      variant: { constants: { ACTIVATION: activationCode(node.activation) } },
      params: { size },
      workgroups: spread(size, 256),
    }),
  });
}

/** SiLU, x · sigmoid(x) (Elfwing et al., arXiv 1702.03118). */
export const silu = (x: Tensor): Tensor => activate('silu', x);

/** a + b. b has a's shape, or misses leading dimensions and is repeated over them. `type`: what to store it as, by default as residuals are. */
export function add(a: Tensor, b: Tensor, type: StorageType = graphOf(a).gpu.residual): Tensor {
  const size = elementCount(a.shape);
  const period = elementCount(b.shape);
  if (!b.shape.every((length, i) => length === a.shape[a.shape.length - b.shape.length + i])) {
    throw new IncompatibleError(`cannot add ${show(b.shape)} to ${show(a.shape)}`);
  }
  return addNode(graphOf(a), a, b, { type, params: { size, per_image: size, b_image: 0, period } });
}

/** a + b of weights, vectors of the same length: a node of `graph` that reads nothing else. */
export function addWeights(graph: Graph, a: Tensor, b: Tensor): Tensor {
  const size = elementCount(a.shape);
  return addNode(graph, a, b, { type: 'f32', params: { size, per_image: size, b_image: 0, period: size } });
}

/** a (N, ..., C) + b (N, C), stored as a: one row of channels for all pixels of an image. */
export function addPerImage(a: Tensor, b: Tensor): Tensor {
  const [images, channels] = b.shape as [number, number];
  const size = elementCount(a.shape);
  if (a.shape[0] !== images || a.shape.at(-1) !== channels || b.shape.length !== 2) {
    throw new IncompatibleError(`cannot add ${show(b.shape)} to every pixel of ${show(a.shape)}`);
  }
  const graph = graphOf(a);
  return addNode(graph, a, b, {
    type: a.storage.type,
    perImage: true,
    params: { size, per_image: size / images, b_image: channels, period: channels },
  });
}

function addNode(
  graph: Graph,
  a: Tensor,
  b: Tensor,
  {
    type,
    perImage,
    params,
  }: Pick<Node, 'perImage'> & { type: StorageType; params: { size: number } & Dispatch['params'] },
): Tensor {
  return call(graph, {
    kernel: 'add',
    inputs: { a, b },
    shape: a.shape,
    type,
    perImage,
    dispatch: () => ({ params, workgroups: spread(params.size, 256) }),
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
      params: { size, channels },
      workgroups: spread(size, 256),
    }),
  });
}

/** x and b side by side along the channels, in halves where matrix units read them. */
export function concat(x: Tensor, b: Tensor): Tensor {
  const graph = graphOf(x);
  const { matrixUnits, precision, residual } = graph.gpu;
  const [xChannels, bChannels] = [x.shape.at(-1)!, b.shape.at(-1)!];
  const shape = [...x.shape.slice(0, -1), xChannels + bChannels];
  const size = elementCount(shape);
  if (size !== elementCount(x.shape) + elementCount(b.shape)) {
    throw new IncompatibleError(`cannot put ${show(b.shape)} beside ${show(x.shape)}`);
  }
  return call(graph, {
    kernel: 'concat',
    inputs: { x, b },
    shape,
    type: matrixUnits === 'none' ? residual : precision,
    canSum: 'unshifted',
    dispatch: (node) => {
      const width = xChannels % 4 === 0 && bChannels % 4 === 0 ? 4 : 1;
      return {
        variant: { width, constants: summedConstants(node) },
        params: { size: size / width, x_channels: xChannels / width, b_channels: bChannels / width },
        fixed: 'all',
        workgroups: spread(size / width, 256),
      };
    },
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
    type: 'f32',
    dispatch: () => ({
      variant: { constants: { FLIP: flip } },
      params: { size, channels, freq_shift: freqShift },
      workgroups: spread(size, 64),
    }),
  });
}

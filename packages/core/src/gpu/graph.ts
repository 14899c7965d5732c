/**
 * Recording a computation. A model's forward pass is run once on tensors that hold no numbers; every op appends
 * a node here. What comes out is plain data: fuse.ts merges nodes, plan.ts gives them memory and runs them as
 * often as wanted. So model code has no buffers, no lifetimes and no fused special cases in it.
 */
import { IncompatibleError } from '../errors.js';
import type { Activation } from './activate.js';
import type { Gpu } from './gpu.js';
import type { Variant } from './kernel.js';
import type { ShaderName } from './shaders.gen.js';
import type { Product, Tiling } from './tuning.js';

/** What numbers are stored as on the GPU. */
export type StorageType = 'f32' | 'f16';

/** The bytes behind one or more tensors. */
export interface Storage {
  /** Halves, once narrow.ts has found that nobody reads more of it. */
  type: StorageType;
  /** With the border around its pixels, once fuse.ts has given it one. */
  elements: number;
  /** The graph that computes it; undefined for weights, which are there before and after. */
  readonly graph?: Graph;
  /** The node that writes it; undefined for weights and inputs. */
  producer?: Node;
  /** Weights and inputs have their buffer from the start, activations get theirs from the plan. */
  buffer?: GPUBuffer;
  /** Bytes of the buffer before it; weights share buffers. */
  offset?: number;
  readonly label: string;
}

/** A shape over a storage, row-major. Activations are (N, H, W, C) or (N, T, C). */
export interface Tensor {
  readonly shape: readonly number[];
  readonly storage: Storage;
  /** Elements of the storage before its own, of a part of what one kernel call made; a multiple of PART_ALIGNMENT. */
  readonly first?: number;
}

/** Elements: where bindings may begin on every device, 256 bytes, in halves. */
export const PART_ALIGNMENT = 128;

/** What a kernel call needs that is not a tensor. */
export interface Dispatch {
  readonly variant?: Variant;
  readonly params: Readonly<Record<string, number>>;
  /**
   * Those that graphics cards compile in, which makes indices cheap. What is compiled in a moment has all; what takes a second,
   * those that are of the network, so that pictures of another size need no more to be compiled than without.
   */
  readonly fixed?: 'all' | readonly string[];
  /** Workgroups in x, y, z. */
  readonly workgroups: readonly [number, number?, number?];
}

/** One kernel call: reads `inputs` (by the names of the shader's bindings), writes `output` (binding `y`), and `sum`. */
export interface Node {
  readonly kernel: ShaderName;
  readonly inputs: Record<string, Tensor | undefined>;
  output: Tensor;
  /** Of a node that makes a sum of splits first: the one that would have made it; see take-sums.ts. */
  summed?: Node;
  /** Where that sum goes, if others read it (binding `sum`). */
  sum?: Tensor;
  /** What this kernel can do to its result before it stores it; see fuse.ts. */
  readonly epilogue: { readonly activation?: true; readonly add?: true; readonly gate?: true; readonly border?: true };
  /** Of a matrix product, and of what belongs to it. */
  readonly product?: Product & Tiling;
  /** Of an `add`: b is one row of channels per image, to be added before an activation. */
  readonly perImage?: boolean;
  /** Whether x may be the sum of splits, or such a sum without a shift, which is one of an image. */
  readonly canSum?: 'any' | 'unshifted';
  /** Of a convolution that would read x from within a border of zeros. */
  readonly wantsBorder?: boolean;
  /** Whether x has one, or, of a norm, y (shaders/border.wgsl); decided by fuse.ts. */
  hasBorder?: boolean;
  /** Activation applied to the result; merged in by fuse.ts. */
  activation: Activation;
  /** Whether the result is one half times gelu of the other (geglu); merged in by fuse.ts. */
  isGated?: boolean;
  dispatch(node: Node): Dispatch;
}

export interface Graph {
  readonly gpu: Gpu;
  readonly nodes: Node[];
  /** Intermediate results to hand out beside the outputs, by module name. */
  readonly taps: Map<string, Tensor>;
  readonly wantsTap: (name: string) => boolean;
}

export function createGraph(gpu: Gpu, wantsTap: (name: string) => boolean = () => false): Graph {
  return { gpu, nodes: [], taps: new Map(), wantsTap };
}

/** What a node writes, by binding. */
export const writtenBy = ({ output, sum }: Node): Record<string, Tensor> => (sum ? { y: output, sum } : { y: output });

export const elementCount = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The graph that a recorded tensor belongs to. */
export function graphOf(x: Tensor): Graph {
  if (!x.storage.graph) throw new IncompatibleError(`${x.storage.label} is a weight; an activation was expected here`);
  return x.storage.graph;
}

/** Appends a kernel call and returns its result. */
export function call(
  graph: Graph,
  node: Omit<Node, 'output' | 'activation' | 'epilogue'> & { shape: readonly number[]; type?: StorageType } & Partial<
      Pick<Node, 'epilogue' | 'activation' | 'perImage' | 'canSum' | 'wantsBorder'>
    >,
): Tensor {
  const { shape, type = graph.gpu.precision, epilogue = {}, activation = 'none', ...rest } = node;
  const storage: Storage = { type, elements: elementCount(shape), graph, label: node.kernel };
  const made: Node = { ...rest, epilogue, activation, output: { shape, storage } };
  storage.producer = made;
  graph.nodes.push(made);
  return made.output;
}

/** Takes these nodes out. */
export function removeNodes(graph: Graph, gone: ReadonlySet<Node>): void {
  if (gone.size > 0) graph.nodes.splice(0, graph.nodes.length, ...graph.nodes.filter((node) => !gone.has(node)));
}

/** The same numbers in the same order under another shape. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  if (elementCount(shape) !== elementCount(x.shape)) {
    throw new IncompatibleError(`${x.storage.label} is ${show(x.shape)}; it cannot be seen as ${show(shape)}`);
  }
  return { ...x, shape };
}

/** The first `count` of x (N, ...), without moving anything. */
export function firstOf(x: Tensor, count: number): Tensor {
  return { ...x, shape: [count, ...x.shape.slice(1)] };
}

/** The same numbers in another storage type: inputs are f32, activations what the precision tier says. */
export function cast(x: Tensor, type: StorageType): Tensor {
  if (x.storage.type === type && x.storage.producer) return x;
  return copy(x, x.shape, type);
}

/** x (N, ...) over and over, until there are `images` of them; x itself where there are as many. */
export function repeat(x: Tensor, images: number): Tensor {
  return x.shape[0] === images ? x : copy(x, [images, ...x.shape.slice(1)], x.storage.type);
}

function copy(x: Tensor, shape: readonly number[], type: StorageType): Tensor {
  const [size, period] = [elementCount(shape), elementCount(x.shape)];
  return call(graphOf(x), {
    kernel: 'cast',
    inputs: { x },
    shape,
    type,
    dispatch: () => {
      const width = period % 4 === 0 ? 4 : 1;
      const params = { size: size / width, period: period / width };
      return { variant: { width }, params, fixed: 'all', workgroups: spread(params.size, 256) };
    },
  });
}

/** Workgroups for `count` items at `perGroup` each, folded into two dimensions where one would pass 65535. */
export function spread(count: number, perGroup: number): [number, number] {
  const groups = Math.max(1, Math.ceil(count / perGroup));
  const rows = Math.ceil(groups / 65535);
  return [Math.ceil(groups / rows), rows];
}

/** Remembers `x` under a module name, when somebody asked to see it; gives `x` back. */
export function tap(name: string, x: Tensor): Tensor {
  const graph = graphOf(x);
  if (graph.wantsTap(name)) graph.taps.set(name, x);
  return x;
}

export const show = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

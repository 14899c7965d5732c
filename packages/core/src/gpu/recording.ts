/**
 * A recorded computation, before it has memory: what is computed in which order, and how long each result is needed.
 */
import { fuse } from './fuse.js';
import type { Gpu } from './gpu.js';
import {
  cast,
  createGraph,
  elementCount,
  type Graph,
  type Node,
  type Storage,
  type StorageType,
  type Tensor,
  writtenBy,
} from './graph.js';
import { narrow } from './narrow.js';
import { takeSums } from './take-sums.js';

export type Shapes = Readonly<Record<string, readonly number[]>>;

/** Bytes; whole vec4<f32>, so that any kernel may see a buffer as vectors. */
export const ALIGNMENT = 16;

export const storageBytes = (type: StorageType, elements: number): number =>
  Math.ceil((elements * (type === 'f16' ? 2 : 4)) / ALIGNMENT) * ALIGNMENT;
export const bytesOf = (storage: Storage): number => storageBytes(storage.type, storage.elements);

export interface Recording {
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Names of inputs that seldom change, and how many nodes, the first ones, depend on nothing but those and weights. */
  readonly steady: { readonly inputs: readonly string[]; readonly nodes: number };
}

export interface RecordOptions {
  /** Whether the result of a module is to be handed out besides, by its name. */
  readonly wantsTap?: (name: string) => boolean;
  /** Inputs that are often the same from one run to the next. */
  readonly steady?: readonly string[];
}

/** Runs `forward` on tensors of the given shapes, once, and keeps what it did. Touches no GPU memory. */
export function record(
  gpu: Gpu,
  shapes: Shapes,
  forward: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  { wantsTap, steady = [] }: RecordOptions = {},
): Recording {
  const graph = createGraph(gpu, wantsTap);
  const inputs: Record<string, Tensor> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const storage: Storage = { type: 'f32', elements: elementCount(shape), graph, label: `input ${name}` };
    inputs[name] = { shape, storage };
  }
  const results = forward(inputs);
  const outputs = Object.fromEntries(
    [...Object.entries(results), ...graph.taps].map(([name, x]) => [name, cast(x, 'f32')]),
  );
  graph.taps.clear(); // they are outputs now
  fuse(graph, Object.values(outputs));
  takeSums(graph, Object.values(outputs));
  narrow(graph, Object.values(outputs));
  const reading = (names: readonly string[]) => dependentOn(graph, new Set(names.map((name) => inputs[name]!.storage)));
  const first = reading(steady);
  // Kernels that follow one another and need nothing of each other do not wait: the projections of the time embedding.
  const others = Object.keys(inputs).filter((name) => !steady.includes(name));
  const early = new Set([...first, ...others.flatMap((name) => [...reading([name])])]);
  const rest = graph.nodes.filter((node) => !early.has(node));
  graph.nodes.splice(0, graph.nodes.length, ...early, ...rest);
  return { graph, inputs, outputs, steady: { inputs: steady, nodes: first.size } };
}

/** Nodes that are computed from these inputs, and weights, alone. */
function dependentOn(graph: Graph, inputs: ReadonlySet<Storage>): Set<Node> {
  const found = new Set<Node>();
  for (const node of graph.nodes) {
    const read = Object.values(node.inputs).flatMap((x) => (x?.storage.graph ? [x.storage] : []));
    const isSteady = (storage: Storage) => (storage.producer ? found.has(storage.producer) : inputs.has(storage));
    if (read.every(isSteady)) found.add(node);
  }
  return found;
}

/** What later runs read without computing it again. */
export function steadyResults({ graph, steady }: Recording): Set<Storage> {
  const first = new Set(graph.nodes.slice(0, steady.nodes));
  const read = graph.nodes.slice(steady.nodes).flatMap(({ inputs }) => Object.values(inputs));
  return new Set(read.flatMap((x) => (x?.storage.producer && first.has(x.storage.producer) ? [x.storage] : [])));
}

/** The most bytes of activations alive at once, and the largest single one. */
export function footprint(recording: Recording): { peak: number; largest: number } {
  let live = 0;
  let peak = 0;
  let largest = 0;
  for (const { node, dying } of lifetimes(recording)) {
    for (const { storage } of Object.values(writtenBy(node))) {
      const bytes = bytesOf(storage);
      live += bytes;
      largest = Math.max(largest, bytes);
    }
    peak = Math.max(peak, live);
    for (const storage of dying) live -= bytesOf(storage);
  }
  return { peak, largest };
}

/** Nodes in order, each with the activations that are read by it for the last time. */
export function lifetimes(recording: Recording): { node: Node; dying: Storage[] }[] {
  const { graph, outputs } = recording;
  const kept = new Set([...Object.values(outputs).map((x) => x.storage), ...steadyResults(recording)]);
  const last = new Map<Storage, Node>();
  for (const node of graph.nodes) {
    for (const { storage } of Object.values(writtenBy(node))) last.set(storage, node); // a result that nobody reads dies at once
    for (const x of Object.values(node.inputs)) if (x?.storage.producer) last.set(x.storage, node);
  }
  const dying = new Map<Node, Storage[]>();
  for (const [storage, node] of last) if (!kept.has(storage)) dying.set(node, [...(dying.get(node) ?? []), storage]);
  return graph.nodes.map((node) => ({ node, dying: dying.get(node) ?? [] }));
}

/**
 * What is rounded to halves by all who read it may be stored as halves: the same numbers, half of the memory, and no casts. Residuals
 * are f32, but the last of each level meets nothing but concatenations and the matrix units.
 */
import { elementCount, type Graph, type Node, removeNodes, type Storage, type Tensor, writtenBy } from './graph.js';
import { type Reader, readersOf } from './readers.js';

export function narrow(graph: Graph, outputs: readonly Tensor[]): void {
  if (graph.gpu.precision === 'f32') return;
  const kept = new Set(outputs.map(({ storage }) => storage));
  const readers = readersOf(graph);
  // From the end, since a copy rounds if those who read the copy do.
  for (const { storage } of graph.nodes.toReversed().flatMap((node) => Object.values(writtenBy(node)))) {
    const all = readers.get(storage) ?? [];
    if (all.length > 0 && !kept.has(storage) && all.every(([node, role]) => rounds(node, role))) storage.type = 'f16';
  }
  const gone = new Set(graph.nodes.filter((node) => !kept.has(node.output.storage) && passOver(node, readers)));
  removeNodes(graph, gone);
}

/** Whether a kernel makes halves of what it reads there, before anything else. */
function rounds({ kernel, output, summed }: Node, role: string): boolean {
  const isWhole = role === 'b' || (role === 'x' && !summed);
  if (kernel === 'cast' || kernel === 'concat') return isWhole && output.storage.type === 'f16';
  return kernel === 'matmul-tensor' && (role === 'x' || role === 'beside');
}

/** Whether a node is a cast that changes nothing; its readers are given what it would have read. */
function passOver({ kernel, inputs: { x }, output }: Node, readers: Map<Storage, Reader[]>): boolean {
  if (kernel !== 'cast' || x?.storage.type !== output.storage.type || !x.storage.producer) return false;
  if (elementCount(x.shape) !== elementCount(output.shape)) return false;
  const all = readers.get(output.storage) ?? [];
  // What the matrix units read is bound for writing, and then nothing else may read it.
  if (all.some(([node]) => Object.values(node.inputs).some((other) => other?.storage === x.storage))) return false;
  for (const [node, role] of all) {
    node.inputs[role] = { ...node.inputs[role]!, storage: x.storage, ...(x.first !== undefined && { first: x.first }) };
  }
  readers.set(x.storage, [...(readers.get(x.storage) ?? []), ...all]);
  return true;
}

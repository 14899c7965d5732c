/** Who reads what of a recording. */
import type { Graph, Node, Storage } from './graph.js';

/** A node, and the binding by which it reads. */
export type Reader = readonly [node: Node, role: string];

/** By storage, in the order in which they read. */
export function readersOf(graph: Graph): Map<Storage, Reader[]> {
  const readers = new Map<Storage, Reader[]>();
  for (const node of graph.nodes) {
    for (const [role, x] of Object.entries(node.inputs)) {
      if (x) readers.set(x.storage, [...(readers.get(x.storage) ?? []), [node, role]]);
    }
  }
  return readers;
}

/**
 * Who makes sums. Where the inner dimension of a product is split, a kernel adds up what its splits left; if a norm or a concatenation
 * is the first to read that, it can do so itself, and store it for those who come later: a pass over memory less.
 */
import { elementCount, type Graph, type Node, removeNodes, type Tensor } from './graph.js';
import { readersOf } from './readers.js';

export function takeSums(graph: Graph, outputs: readonly Tensor[]): void {
  if (graph.gpu.sumsApart) return;
  const readers = readersOf(graph);
  const kept = new Set(outputs.map(({ storage }) => storage));
  const gone = new Set<Node>();
  for (const node of graph.nodes) {
    if (!node.canSum) continue;
    const { storage } = node.inputs.x!;
    const { producer } = storage;
    // Those who read are listed in order.
    const [first, ...others] = readers.get(storage)!;
    if (producer?.kernel !== 'sum-splits' || producer.isGated || first![0] !== node) continue;
    if (elementCount(node.inputs.x!.shape) !== elementCount(producer.output.shape)) continue;
    if (node.canSum === 'unshifted' && producer.inputs.shift) continue;
    Object.assign(node.inputs, producer.inputs);
    node.summed = producer;
    if (others.length > 0 || kept.has(storage)) {
      node.sum = producer.output;
      storage.producer = node;
    }
    gone.add(producer);
  }
  removeNodes(graph, gone);
}

/**
 * Merging nodes. Kernels that compute a sum per element (matmul, conv2d) or a norm can apply an activation and
 * add something before they store: then the separate pass over memory goes away. The forward passes are written
 * plainly (`add(x, conv2(silu(norm2(h))))`); this is the one place that knows what may be merged.
 *
 * And norms leave a border of zeros around what a convolution will read.
 *
 * The order inside a kernel is  y = activation(sum + bias + shift) + residual.
 */
import { elementCount, type Graph, type Node, removeNodes, type Storage, type Tensor } from './graph.js';
import { readersOf } from './readers.js';

/** Merges `unary`, `geglu` and `add` nodes into the kernels before them, where nobody else looks at what lies between. */
export function fuse(graph: Graph, outputs: readonly Tensor[]): void {
  const uses = countUses(graph, outputs);
  const position = new Map(graph.nodes.map((node, i) => [node, i]));
  const gone = new Set<Node>();

  const mergeable = (x: Tensor): Node | undefined => {
    const producer = x.storage.producer;
    return producer && uses.get(x.storage) === 1 && producer.inputs.residual === undefined ? producer : undefined;
  };
  const replace = (node: Node, by: Node) => {
    by.output = node.output;
    node.output.storage.producer = by;
    gone.add(node);
  };

  for (const node of graph.nodes) {
    if (node.kernel === 'unary') {
      const producer = mergeable(node.inputs.x!);
      if (producer?.epilogue.activation && producer.activation === 'none' && !producer.isGated) {
        producer.activation = node.activation;
        replace(node, producer);
      }
    } else if (node.kernel === 'geglu') {
      const producer = mergeable(node.inputs.x!);
      if (producer?.epilogue.gate && producer.activation === 'none' && !producer.inputs.shift) {
        producer.isGated = true;
        replace(node, producer);
      }
    } else if (node.kernel === 'add') {
      const { a, b } = node.inputs as { a: Tensor; b: Tensor };
      const [producer, other] = later(a, b, position);
      if (!producer || uses.get(producer.output.storage) !== 1 || !producer.epilogue.add || producer.isGated) continue;
      if (!mergeable(producer.output)) continue;
      if (elementCount(producer.output.shape) !== elementCount(node.output.shape)) continue;
      // The matrix units' kernels bind x for writing, and then nothing else may read it (tensor-tile.wgsl).
      if (other.storage === producer.inputs.x?.storage) continue;
      if (elementCount(other.shape) === elementCount(node.output.shape)) {
        producer.inputs.residual = other;
      } else if (node.perImage && other === b && producer.activation === 'none' && !producer.inputs.shift) {
        producer.inputs.shift = other;
      } else {
        continue;
      }
      replace(node, producer);
    }
  }
  removeNodes(graph, gone);
  for (const node of graph.nodes) if (node.wantsBorder) giveBorder(node, uses);
}

/** What a convolution alone reads, of a norm, may lie in a border of zeros. */
function giveBorder(node: Node, uses: ReadonlyMap<Storage, number>): void {
  const { shape, storage } = node.inputs.x!;
  const { producer } = storage;
  if (uses.get(storage) !== 1 || !producer?.epilogue.border || producer.output.shape.join() !== shape.join()) return;
  const [images, height, width, channels] = shape as [number, number, number, number];
  producer.hasBorder = true;
  node.hasBorder = true;
  storage.elements = (1 + (images * (height + 1) + 1) * (width + 1)) * channels;
}

/** Of two summands, the node that is computed last, and the other summand: that one is there by then. */
function later(a: Tensor, b: Tensor, position: Map<Node, number>): [Node | undefined, Tensor] {
  const at = (x: Tensor) => (x.storage.producer ? position.get(x.storage.producer)! : -1);
  return at(a) > at(b) ? [a.storage.producer, b] : [b.storage.producer, a];
}

function countUses(graph: Graph, outputs: readonly Tensor[]): Map<Storage, number> {
  const uses = new Map([...readersOf(graph)].map(([storage, readers]) => [storage, readers.length]));
  for (const { storage } of [...outputs, ...graph.taps.values()]) uses.set(storage, (uses.get(storage) ?? 0) + 1);
  return uses;
}

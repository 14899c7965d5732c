import type { Node } from '../gpu/graph.js';

/** By which the kernels of products know what to add before they store. */
export const epilogueParams = ({ inputs }: Node): Record<string, number> => ({
  has_bias: Number(inputs.bias !== undefined),
  has_shift: Number(inputs.shift !== undefined),
  has_residual: Number(inputs.residual !== undefined),
});

import { activationCode } from '../gpu/activate.js';
import type { Node } from '../gpu/graph.js';

/** By which the kernels of products know what to add before they store. */
export const epilogueParams = ({ inputs }: Node): Record<string, number> => ({
  has_bias: Number(inputs.bias !== undefined),
  has_shift: Number(inputs.shift !== undefined),
  has_residual: Number(inputs.residual !== undefined),
});

/** The same for kernels that are compiled for it. */
export const epilogueConstants = ({ activation, inputs }: Node) => ({
  ACTIVATION: activationCode(activation),
  HAS_BIAS: inputs.bias !== undefined,
  HAS_SHIFT: inputs.shift !== undefined,
  HAS_RESIDUAL: inputs.residual !== undefined,
});

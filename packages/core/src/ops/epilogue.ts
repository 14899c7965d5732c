import { activationCode } from '../gpu/activate.js';
import type { Node } from '../gpu/graph.js';
import type { Parts } from './weights.js';

/** By which the kernels of products know what to add before they store. */
export const epilogueParams = ({ inputs }: Node): Record<string, number> => ({
  has_bias: Number(inputs.bias !== undefined),
  has_shift: Number(inputs.shift !== undefined),
  has_residual: Number(inputs.residual !== undefined),
});

/** By which they know where columns of several results go; of one if there are no parts. */
export const partParams = (columns: number, parts: Parts = { count: 1, pitch: 0 }): Record<string, number> => ({
  part_columns: columns / parts.count,
  part_pitch: parts.pitch,
});

/** What they add, for those that are compiled for it. */
export const epilogueConstants = ({ activation, inputs }: Node) => ({
  ACTIVATION: activationCode(activation),
  ...addedConstants(inputs),
});

const addedConstants = ({ bias, shift, residual }: Node['inputs']) => ({
  HAS_BIAS: bias !== undefined,
  HAS_SHIFT: shift !== undefined,
  HAS_RESIDUAL: residual !== undefined,
});

/** Of a sum of splits, for who makes it; of who makes none, zeros. */
export const sumConstants = (node?: Node) => ({
  SPLITS: node?.inputs.x?.shape[0] ?? 0,
  SUM_ACTIVATION: activationCode(node?.activation ?? 'none'),
  ...addedConstants(node?.inputs ?? {}),
});

/** What a node does with sums of splits (summed-x.wgsl). */
export const summedConstants = ({ summed, sum }: Node) => ({ ...sumConstants(summed), HAS_SUM: sum !== undefined });

/** The tensors of one part of a single file, by the name after the part's prefix, for whoever infers its config. */
import { CheckpointError } from '../../errors.js';
import { printable, printableShape } from '../printable.js';
import type { TensorInfo, Weights } from '../weights.js';

/** Where each part is in a single file; text encoders differ. */
export const PREFIXES = {
  unet: 'model.diffusion_model.',
  vae: 'first_stage_model.',
  clip: 'cond_stage_model.transformer.text_model.',
  /** Old files leave out the name of the text model. */
  oldClip: 'cond_stage_model.transformer.',
  openClip: 'cond_stage_model.model.',
} as const;

export interface Part {
  readonly file: string;
  readonly prefix: string;
  has(key: string): boolean;
  /** The sizes of a tensor, which must be there and have `rank` of them, each 1 or more. */
  shape(key: string, rank: number): readonly number[];
  /** How many sizes a tensor has, which must be there. */
  rank(key: string): number;
  /** How many of key(0), key(1), ... are there without a gap. */
  count(key: (i: number) => string): number;
  refuse(key: string, what: string, advice?: string): never;
}

/** For what the tensors do not tell. */
export const NEEDS_CONFIG = 'Name a diffusers folder of the same architecture, whose configs are then used.';

const DAMAGED = 'The file is damaged, or of a kind that this engine does not know.';

/** Refuses the file because of one tensor. */
export function refuseTensor(file: string, tensor: string, what: string, advice = DAMAGED): never {
  const [shownFile, shownTensor] = [printable(file, 1000), printable(tensor)];
  throw new CheckpointError(`${shownFile}: tensor "${shownTensor}" ${what}. ${advice}`, {
    file: shownFile,
    tensor: shownTensor,
  });
}

export function partOf({ name: file, tensors }: Weights, prefix: string): Part {
  const refuse = (key: string, what: string, advice?: string): never => refuseTensor(file, prefix + key, what, advice);
  const find = (key: string): TensorInfo => tensors.get(prefix + key) ?? refuse(key, 'is missing');
  return {
    file,
    prefix,
    has: (key) => tensors.has(prefix + key),
    shape(key, rank) {
      const { shape } = find(key);
      if (shape.length === rank && shape.every((size) => size > 0)) return shape;
      return refuse(key, `is ${printableShape(shape)}; expected ${rank} sizes above 0`);
    },
    rank: (key) => find(key).shape.length,
    count(key) {
      let i = 0;
      while (tensors.has(prefix + key(i))) i++;
      return i;
    },
    refuse,
  };
}

/** What a batch is made of: one picture each, with everything that was said about it and nothing looked up yet. */
import type { SamplerName } from '@diffusion-soup/core';
import type { Size } from '../flags.js';

/** A soup by the names that were written. */
export interface SoupSpec {
  /** As on the command line: models, or "noto:2+ink:1". */
  readonly model?: readonly string[];
  /** The file of a recipe, in place of models. */
  readonly recipe?: string;
  readonly weights?: readonly string[];
  readonly base?: string;
}

export interface Item {
  /** Its place in the manifest, from 0. */
  readonly index: number;
  /** The line that it comes from, from 1. */
  readonly line: number;
  readonly soup: SoupSpec;
  readonly prompt: string;
  readonly negative: string;
  readonly seed: bigint;
  readonly steps: number;
  /** By default the model's own. */
  readonly sampler?: SamplerName;
  readonly guidance: number;
  /** By default what the model was trained on. */
  readonly size?: Size;
  readonly clipSkip: number;
  readonly noise: 'cpu' | 'cuda';
  /** The file of a picture to start from, and how much of it to replace, above 0 to 1. */
  readonly image?: string;
  readonly strength?: number;
  /** A template for its file's name. */
  readonly name?: string;
  /** What templates and grids may call it by. */
  readonly vars: Readonly<Record<string, string>>;
}

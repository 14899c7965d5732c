/** A file of a model, as core's Source, that knows which version of which file it is. */
import type { Source } from '@diffusion-soup/core';

export interface ModelFile extends Source {
  /** Relative to the model's folder, with slashes; of a single file its name. */
  readonly path: string;
  /** Two files of one stamp are the same bytes. Another version of a file has another stamp. */
  readonly stamp: string;
  /** Whether the stamp will tell another version in later visits, too. */
  readonly hasVersion: boolean;
  /** How many of `bytes` bytes at `offset` need not come over the network. */
  held(offset: number, bytes: number): number;
  /** Whether it lies on this machine, and not in the cache. */
  readonly isLocal: boolean;
}

/** The file behind a source; sources without one compute their bytes. */
export const fileBehind = (source: Source): ModelFile | undefined =>
  'stamp' in source && 'held' in source ? (source as ModelFile) : undefined;

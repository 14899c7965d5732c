/** What the engine asks of files: models to draw from, and what becomes of soups and pictures. */
import type { CookOptions, Gpu, Image, OpenRecipe, Precision, Settings } from '@diffusion-soup/core';
import type { Blend, ByteOrigin, KnownModel, ModelReference, Restored, Survey } from '../messages.js';

export interface FilesOptions {
  /** The page's address. */
  readonly page: string;
  readonly token?: string;
  readonly onBytes?: (origin: ByteOrigin, bytes: number) => void;
}

export type HashOf = NonNullable<CookOptions['hashOf']>;

export interface MergeOptions {
  readonly target?: FileSystemFileHandle;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** A picture with all that its metadata says. */
export interface Drawn {
  readonly image: Image;
  readonly settings: Settings;
  readonly blend: Blend;
  readonly machine: { readonly adapter: string; readonly precision: Precision };
}

export interface Files {
  /** Replaces the list; models that the new list has too stay open. */
  setModels(models: readonly ModelReference[], signal: AbortSignal): Promise<KnownModel[]>;
  /** Portions of weight 0 stay out. */
  openBlend(blend: Blend): Promise<OpenRecipe>;
  /** What is known of its models' tensors, so that those which are the same are read once. */
  hashesOf(recipe: OpenRecipe): Promise<HashOf>;
  survey(gpu: Gpu, blend: Blend): Promise<Survey>;
  merge(gpu: Gpu, blend: Blend, options: MergeOptions): Promise<{ bytes: number; hash: string; file?: File }>;
  /** As PNG. */
  picture(drawn: Drawn): Promise<Uint8Array<ArrayBuffer>>;
  restore(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<Restored>;
  readonly cache: { info(): Promise<{ used: number; quota: number }>; clear(): Promise<void> };
}

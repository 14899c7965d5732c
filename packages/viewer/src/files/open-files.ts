/** All of the files' side of the engine, for one page. */
import type { Files, FilesOptions } from '../engine/files.js';
import { Cache } from './cache.js';
import { Hashes } from './hashes.js';
import { KnownHashes } from './known-hashes.js';
import { Library } from './library.js';
import { mergeBlend } from './merge.js';
import { pictureFile } from './picture.js';
import { openBlend } from './recipe.js';
import { restore } from './restore.js';
import { survey } from './survey.js';
import { twinsIn } from './twins.js';

export function openFiles(options: FilesOptions): Files {
  const cache = Cache.open();
  const hashes = cache.then((cache) => new KnownHashes(cache?.hashes));
  const library = Promise.all([cache, hashes]).then(
    ([cache, hashes]) =>
      new Library({ ...options, overhear: (file) => hashes.overhear(file), ...(cache && { cache }) }),
  );
  return {
    setModels: async (models) => (await library).setModels(models),
    openBlend: async (blend) => openBlend(await library, blend),
    survey: async (gpu, blend) => survey(gpu, await library, await hashes, blend),
    hashesOf: async (recipe) => twinsIn(recipe, await hashes),
    merge: async (gpu, blend, more) => mergeBlend(gpu, await library, new Hashes(await hashes), blend, more),
    picture: pictureFile,
    restore,
    cache: {
      info: async () => (await cache)?.info() ?? { used: 0, quota: 0 },
      clear: async () => (await cache)?.clear(),
    },
  };
}

/** All of the files' side of the engine, for one page. */
import type { Files, FilesOptions } from '../engine/files.js';
import { Cache } from './cache.js';
import { Hashes } from './hashes.js';
import { Library } from './library.js';
import { mergeBlend } from './merge.js';
import { pictureFile } from './picture.js';
import { openBlend } from './recipe.js';
import { restore } from './restore.js';
import { survey } from './survey.js';

export function openFiles(options: FilesOptions): Files {
  const hashes = new Hashes();
  const cache = Cache.open();
  const library = cache.then((cache) => new Library({ ...options, ...(cache && { cache }) }));
  return {
    setModels: async (models) => (await library).setModels(models),
    openBlend: async (blend) => openBlend(await library, blend),
    survey: async (gpu, blend) => survey(gpu, await library, blend),
    merge: async (gpu, blend, more) => mergeBlend(gpu, await library, hashes, blend, more),
    picture: pictureFile,
    restore,
    cache: {
      info: async () => (await cache)?.info() ?? { used: 0, quota: 0 },
      clear: async () => (await cache)?.clear(),
    },
  };
}

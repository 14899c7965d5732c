/** The engine in Node: what core needs from a machine, for programs that would rather not spawn `soup`. */
export { writeFileAtomic } from './atomic-file.js';
export {
  type BatchHooks,
  type BatchOptions,
  type BatchSummary,
  type PreparedBatch,
  prepareBatch,
} from './batch/batch.js';
export { type DrawHooks, type Engine, gpuEngine } from './batch/engine.js';
export { expand } from './batch/expand.js';
export type { Item, SoupSpec } from './batch/item.js';
export type { Format } from './batch/names.js';
export { openStore } from './batch/open-store.js';
export { type Planned, planBatch, type Shard, shardOf } from './batch/plan.js';
export { readItems } from './batch/read.js';
export { type Kind, readManifest } from './batch/read-manifest.js';
export { knownResults, type Result } from './batch/results.js';
export { type Soup, type SoupOf, soupOpener } from './batch/soups.js';
export { folderStore, type Store } from './batch/store.js';
export { type OpenGpu, type OpenOptions, openAdapter, openGpu } from './device.js';
export { diskFolder, fileSource } from './files.js';
export { encodePng } from './image/png.js';
export { createOutput, type Io, type Output, type Stream } from './output.js';
export { run } from './run.js';
export { version } from './version.js';

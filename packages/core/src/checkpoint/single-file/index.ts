/** Single-file checkpoints, read and laid out. */
export { type Configs, configMetadata, configsOf } from './configs.js';
export type { PredictionType } from './infer-scheduler.js';
export { type NamedTensors, type SingleFileParts, type SingleFileTensor, singleFileLayout } from './layout.js';
export { openSingleFile, type SingleFile, type SingleFileOptions } from './read.js';

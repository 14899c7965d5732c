/** LoRAs: reading them, baking them into weights, taking them out of fine-tunes. */
export { type LoadedLora, withLoras } from './bake.js';
export { type ExtractedLora, type ExtractedTensor, type ExtractOptions, extractLora, loraFile } from './extract.js';
export type { LoraComponent } from './format.js';
export { type Lora, type LoraModule, readLora } from './read.js';
export { matchLora } from './targets.js';

/** What files say of how they were made: checkpoints, LoRAs and pictures, ours and those of other programs. */
export { type ArchitectureFacts, architectureFacts } from './architecture.js';
export {
  type CheckpointFacts,
  checkpointMetadata,
  mergeKey,
  type Parent,
  type Parents,
  parentOf,
  parentsIn,
} from './checkpoint.js';
export { type ComfyUiPicture, readComfyUiPrompt, readComfyUiWorkflow } from './comfyui.js';
export { type DecodedMetadata, decodeMetadata, type MergedModel, type MergeRecipe } from './decode.js';
export { type Infotext, type PictureSettings, parseInfotext, writeInfotext } from './infotext.js';
export { toJson } from './json.js';
export { type LoraFacts, loraFacts } from './lora.js';
export { type PngText, readPngText } from './png-text.js';
export { parentsOf, parentsOfSoup, type SoupModels, soupMetadata } from './soup.js';

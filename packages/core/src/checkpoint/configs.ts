/** The configs of a model's parts: what each file may say is the schema in its own file. */
export { type ClipTextConfig, parseClipTextConfig } from './config-clip.js';
export {
  type ClipModelConfig,
  type ClipVisionConfig,
  parseClipModelConfig,
} from './config-clip-vision.js';
export { type ClipPreprocessing, parseClipPreprocessing } from './config-preprocessor.js';
export { parseSchedulerConfig, type SchedulerConfig } from './config-scheduler.js';
export { parseUNetConfig, type UNetConfig } from './config-unet.js';
export { parseVaeConfig, type VaeConfig } from './config-vae.js';

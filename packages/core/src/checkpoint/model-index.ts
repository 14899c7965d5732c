/** model_index.json: which pipeline a diffusers folder is for, and which class each of its parts is. */
import { ConfigError } from '../errors.js';
import { type RefuseOption, refusalOfOption } from './config-schema.js';
import type { JsonValue } from './json.js';
import { printable, printableValue } from './printable.js';

/** The parts that this engine runs. */
export const COMPONENTS = ['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler'] as const;
export type Component = (typeof COMPONENTS)[number];

export interface ModelIndex {
  /** diffusers' name of the pipeline. */
  readonly className: string;
  /** The class of each part; a part that the index sets to null is not there. */
  readonly components: ReadonlyMap<Component, string>;
}

const PIPELINES = ['StableDiffusionPipeline', 'StableDiffusionImg2ImgPipeline'];

const CLASSES: Readonly<Record<Component, RegExp>> = {
  unet: /^UNet2DConditionModel$/,
  vae: /^AutoencoderKL$/,
  text_encoder: /^CLIPTextModel$/,
  tokenizer: /^CLIPTokenizer(Fast)?$/,
  scheduler: /^\w+Scheduler$/,
};

/** They judge or describe pictures, and do not draw them. */
const IGNORED = ['safety_checker', 'feature_extractor', 'image_encoder', 'requires_safety_checker'];

/** Any other library in an index is a Python module of the model's own, which diffusers would import. */
const LIBRARIES = ['diffusers', 'transformers'];

/** Checks the JSON of a model_index.json. */
export function parseModelIndex(json: JsonValue, file = 'model_index.json'): ModelIndex {
  const name = printable(file, 1000);
  const refuse: RefuseOption = refusalOfOption(file);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${name} holds ${printableValue(json)}; expected a JSON object`, { file: name });
  }
  const className = json._class_name;
  if (typeof className !== 'string' || !PIPELINES.includes(className)) {
    return refuse('_class_name', className, `this engine runs only ${PIPELINES.join(' and ')}`);
  }
  const components = new Map<Component, string>();
  for (const [key, value] of Object.entries(json)) {
    if (key.startsWith('_') || IGNORED.includes(key) || value === null || value === false) continue;
    const component = COMPONENTS.find((known) => known === key);
    if (!component) return refuse(key, value, `this engine knows only ${COMPONENTS.join(', ')}`);
    const [library, part, ...more] = Array.isArray(value) ? value : [];
    if (library === null && part === null) continue; // how diffusers writes a part that was left out
    if (typeof library !== 'string' || typeof part !== 'string' || more.length > 0) {
      return refuse(key, value, 'expected a library and a class');
    }
    if (!LIBRARIES.includes(library)) {
      return refuse(key, value, `expected a class of ${LIBRARIES.join(' or ')}; code of the model's own is never run`);
    }
    if (!CLASSES[component].test(part)) {
      return refuse(key, value, `this engine has no such ${component}; it expects ${CLASSES[component].source}`);
    }
    components.set(component, part);
  }
  return { className, components };
}

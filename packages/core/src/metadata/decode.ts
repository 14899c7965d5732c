/** What the `__metadata__` of a safetensors file says, of all conventions that are in use. */
import type { Weights } from '../checkpoint/weights.js';
import { readObject } from './json.js';

export interface DecodedMetadata {
  /** Our own: what a soup is made of. */
  readonly soup?: Readonly<Record<string, unknown>>;
  /** ModelSpec 1.0.x (https://github.com/Stability-AI/ModelSpec), without the prefix; a thumbnail as its size. */
  readonly modelSpec?: Readonly<Record<string, string>>;
  /** How A1111 and others merged it (AUTOMATIC1111/stable-diffusion-webui pull request 9312). */
  readonly merge?: MergeRecipe;
  /** What kohya's scripts say of a training, without the prefix "ss_". */
  readonly training?: Readonly<Record<string, unknown>>;
  /** peft's configuration of a LoRA. */
  readonly adapter?: Readonly<Record<string, unknown>>;
  /** ComfyUI's graphs, as texts. */
  readonly comfy?: { readonly prompt?: string; readonly workflow?: string };
  /** All other texts. */
  readonly other: Readonly<Record<string, string>>;
}

/** A merge, and the merges that its models came from. */
export interface MergeRecipe {
  /** Which program: "webui", "sd-webui-supermerger", "diffusion-soup", ... */
  readonly type: string;
  readonly recipe: Readonly<Record<string, unknown>>;
  readonly models: readonly MergedModel[];
}

export interface MergedModel {
  /** SHA-256 of its file. */
  readonly hash: string;
  readonly name: string;
  /** If it was a merge, too. */
  readonly recipe?: Readonly<Record<string, unknown>>;
}

const MOST_MODELS = 1000;
const OURS = ['diffusion_soup', 'diffusion_soup_configs'];

export function decodeMetadata(metadata: Weights['metadata']): DecodedMetadata {
  const soup = readObject(metadata.diffusion_soup);
  const modelSpec = withPrefix(metadata, 'modelspec.');
  const { thumbnail } = modelSpec;
  if (thumbnail !== undefined) modelSpec.thumbnail = `(a picture of ${thumbnail.length} characters)`;
  const training = Object.fromEntries(
    Object.entries(withPrefix(metadata, 'ss_')).map(([name, text]) => [name, readObject(text) ?? text]),
  );
  const merge = mergeOf(metadata);
  const adapter = readObject(metadata.lora_adapter_metadata);
  const comfy = {
    ...(metadata.prompt !== undefined && { prompt: metadata.prompt }),
    ...(metadata.workflow !== undefined && { workflow: metadata.workflow }),
  };
  const known = (key: string) =>
    /^(modelspec\.|ss_)/.test(key) ||
    (OURS.includes(key) && (soup !== undefined || key !== 'diffusion_soup')) ||
    (merge && /^sd_merge_(recipe|models)$/.test(key)) ||
    (adapter && key === 'lora_adapter_metadata') ||
    key in comfy;
  return {
    ...(soup && { soup }),
    ...(Object.keys(modelSpec).length > 0 && { modelSpec }),
    ...(merge && { merge }),
    ...(Object.keys(training).length > 0 && { training }),
    ...(adapter && { adapter }),
    ...(Object.keys(comfy).length > 0 && { comfy }),
    other: Object.fromEntries(Object.entries(metadata).filter(([key]) => !known(key))),
  };
}

const withPrefix = (metadata: Weights['metadata'], prefix: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata).flatMap(([key, text]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), text]] : [],
    ),
  );

function mergeOf(metadata: Weights['metadata']): MergeRecipe | undefined {
  const recipe = readObject(metadata.sd_merge_recipe);
  if (!recipe) return undefined;
  const type = typeof recipe.type === 'string' ? recipe.type : 'unknown';
  return { type, recipe, models: mergedModels(metadata.sd_merge_models) };
}

/** The models of `sd_merge_models`; entries of another form are left out. */
export function mergedModels(text: string | undefined): MergedModel[] {
  const entries = Object.entries(readObject(text) ?? {}).slice(0, MOST_MODELS);
  return entries.flatMap(([hash, entry]): MergedModel[] => {
    if (!/^[0-9a-f]{64}$/.test(hash) || typeof entry !== 'object' || entry === null) return [];
    const { name, sd_merge_recipe: recipe } = entry as Record<string, unknown>;
    // A1111 keeps it as an object, others as a text.
    const nested = typeof recipe === 'string' ? readObject(recipe) : recipe;
    const isObject = typeof nested === 'object' && nested !== null && !Array.isArray(nested);
    return [
      {
        hash,
        name: typeof name === 'string' ? name : '',
        ...(isObject && { recipe: nested as Readonly<Record<string, unknown>> }),
      },
    ];
  });
}

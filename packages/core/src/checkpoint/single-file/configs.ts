/** Configs for single files, which have no place for them but the metadata. */
import { ConfigError } from '../../errors.js';
import { type JsonObject, type JsonValue, parseConfigJson } from '../json.js';
import type { ModelFolder } from '../model-folder.js';
import type { Component } from '../model-index.js';
import { printable, printableValue } from '../printable.js';
import type { Weights } from '../weights.js';

/** The JSON of a part's config.json, unchecked. */
export type Configs = Partial<Record<Component, JsonValue>>;

/** Under which a single file of ours keeps its configs: one JSON object, by part. */
export const CONFIGS_KEY = 'diffusion_soup_configs';

const KEPT = ['unet', 'vae', 'text_encoder', 'scheduler'] as const satisfies Component[];

/** The configs of a folder, for a single file of the same architecture; model_index.json names the scheduler's class. */
export async function configsOf(folder: Pick<ModelFolder, 'config' | 'index'>): Promise<Configs> {
  const configs: Configs = {};
  for (const part of KEPT) {
    const config = await folder.config(part);
    if (config !== undefined) configs[part] = config;
  }
  const className = folder.index?.components.get('scheduler');
  const { scheduler } = configs;
  if (className !== undefined && isObject(scheduler)) configs.scheduler = { _class_name: className, ...scheduler };
  return configs;
}

/**
 * Metadata for a single file that is written: what its tensors do not tell, such as the number of attention heads, is
 * then still known. Other programs ignore it.
 */
export function configMetadata(configs: Configs): Record<string, string> {
  const kept = KEPT.filter((part) => configs[part] !== undefined).map((part) => [part, configs[part]]);
  return { [CONFIGS_KEY]: JSON.stringify(Object.fromEntries(kept)) };
}

/** The configs in a file's metadata, if there are any. */
export function configsIn({ name, metadata }: Weights): Configs {
  const text = metadata[CONFIGS_KEY];
  if (text === undefined) return {};
  const file = `${name}: metadata "${CONFIGS_KEY}"`;
  const json = parseConfigJson(text, file);
  if (!isObject(json)) {
    const shown = printable(file, 1000);
    throw new ConfigError(
      `${shown} holds ${printableValue(json)}; expected a JSON object with a config for each part`,
      {
        file: shown,
      },
    );
  }
  return Object.fromEntries(KEPT.filter((part) => json[part] !== undefined).map((part) => [part, json[part]]));
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

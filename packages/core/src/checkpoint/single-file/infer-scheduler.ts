/**
 * What a single file says of the noise it was trained with. The schedule is the same in every published Stable
 * Diffusion 1 and 2; whether the model predicts the noise or v shows in no weight.
 */
import type { JsonObject } from '../json.js';
import { readBytes } from '../source.js';
import type { Weights } from '../weights.js';

export type PredictionType = 'epsilon' | 'v_prediction';

/** ModelSpec 1.0.1, https://github.com/Stability-AI/ModelSpec, and what kohya's trainer writes. */
const SPEC_TYPES: Readonly<Record<string, PredictionType>> = { epsilon: 'epsilon', v: 'v_prediction' };
const SPEC_ARCHITECTURES: Readonly<Record<string, PredictionType>> = {
  'stable-diffusion-v2-512': 'epsilon',
  'stable-diffusion-v2-768-v': 'v_prediction',
};

/** Stable Diffusion 2-base, the one of 512 pixels, stopped training there; diffusers knows it by this number alone. */
const EPSILON_STEPS = 875_000n;

/**
 * By the file's metadata; else as diffusers' from_single_file decides: version 1 predicts the noise, version 2 predicts
 * v unless the file says that it was trained for 875,000 steps. Models that were made from 2-base and say nothing of
 * it are taken for v-prediction, and need the option.
 */
export async function inferPrediction(
  { metadata, tensors }: Weights,
  version: 1 | 2,
): Promise<{ type: PredictionType; from: 'metadata' | 'steps' | 'version' }> {
  const spec = own(SPEC_TYPES, metadata['modelspec.prediction_type']);
  const architecture = own(SPEC_ARCHITECTURES, metadata['modelspec.architecture']);
  const told = spec ?? architecture;
  if (told) return { type: told, from: 'metadata' };
  const steps = tensors.get('global_step');
  if (version === 2 && steps?.dtype === 'I64' && steps.byteLength === 8) {
    const bytes = await readBytes(steps.source, steps.offset, 8);
    const isBase = new DataView(bytes.buffer).getBigInt64(0, true) === EPSILON_STEPS;
    return { type: isBase ? 'epsilon' : 'v_prediction', from: 'steps' };
  }
  return { type: version === 2 ? 'v_prediction' : 'epsilon', from: 'version' };
}

const own = <T>(table: Readonly<Record<string, T>>, key: string | undefined): T | undefined =>
  key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined;

/** The JSON of a scheduler_config.json. */
export function inferSchedulerConfig(version: 1 | 2, type: PredictionType): JsonObject {
  return {
    _class_name: version === 1 || type === 'epsilon' ? 'PNDMScheduler' : 'DDIMScheduler',
    num_train_timesteps: 1000,
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    trained_betas: null,
    clip_sample: false,
    set_alpha_to_one: false,
    skip_prk_steps: true,
    steps_offset: 1,
    prediction_type: type,
  };
}

/** Side of the pictures of the training, in pixels: as the metadata says, else that of the published models. */
export function trainedSize({ metadata }: Weights, version: 1 | 2, type: PredictionType): number {
  const [, width, height] = /^(\d{2,4})x(\d{2,4})$/.exec(metadata['modelspec.resolution'] ?? '') ?? [];
  if (width !== undefined && width === height) return Number(width);
  return version === 2 && type === 'v_prediction' ? 768 : 512;
}

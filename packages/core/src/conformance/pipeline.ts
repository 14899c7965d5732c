/** The whole pipeline against its reference: text to context, denoising with each sampler, decoding. */
import type { SchedulerConfig } from '../checkpoint/configs.js';
import type { ModelFolder } from '../checkpoint/model-folder.js';
import { CheckpointError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { toChannelsFirst } from '../image/layout.js';
import { createTextEncoder, createUNet, createVae } from '../model/components.js';
import { denoise } from '../pipeline/denoise.js';
import { guidedPredict } from '../pipeline/guidance.js';
import { createLatentSpace } from '../pipeline/latents.js';
import { initialLatents, makeSchedule, resolveSampler } from '../sampler/index.js';
import { compare, type Difference } from './compare.js';
import { BOUNDS, blendOfComponent, closeBlend, type Golden, rowsOf, sampleOf } from './conformance.js';

/**
 * `file` holds `init_latents` (standard normal) and `<sampler>.latents`, `<sampler>.image`; its metadata the number
 * of steps, the guidance, and which rows of `text`'s input_ids are the prompt and the negative prompt.
 */
export async function* conformPipeline(
  gpu: Gpu,
  folder: ModelFolder,
  file: Golden,
  text: Golden | undefined,
): AsyncGenerator<Difference> {
  const steps = numberIn(file, 'steps');
  const guidance = numberIn(file, 'guidance_scale');
  const ids = await promptIds(file, text);
  const init = await file.tensor('init_latents');
  const size = sampleOf(init.shape);
  const samplers = [...file.weights.tensors.keys()].filter((name) => name.endsWith('.latents'));

  const textBlend = await blendOfComponent(folder, 'text_encoder');
  const encoder = createTextEncoder(gpu, await folder.textEncoderConfig(), textBlend);
  const unetBlend = await blendOfComponent(folder, 'unet');
  const unet = createUNet(gpu, await folder.unetConfig(), unetBlend);
  const vaeBlend = await blendOfComponent(folder, 'vae');
  const vae = createVae(gpu, await folder.vaeConfig(), vaeBlend);
  const space = createLatentSpace(gpu, size, unet.config.inChannels);
  try {
    await encoder.load(textBlend);
    await unet.load(unetBlend);
    await vae.load(vaeBlend);
    const context = await encoder.encode(ids);
    const config = await folder.schedulerConfig();
    const predict = guidedPredict(unet, space, context, guidance);

    for (const key of samplers) {
      const name = key.slice(0, -'.latents'.length);
      const sampler = resolveSampler(name);
      const schedule = makeSchedule(sampler, inherited(config), steps);
      let last = space.upload(initialLatents(init.data, schedule));
      for await (const step of denoise(space, predict, last, schedule)) last = step.latents;
      const latents = await space.read(last);
      const { shape, data } = await file.tensor(key);
      const { latents: bound, pixels } = BOUNDS[gpu.precision];
      yield compare(key, shape, latents, data, bound);

      const imageKey = `${name}.image`;
      if (!file.weights.tensors.has(imageKey)) continue;
      const reference = await file.tensor(imageKey);
      const unscaled = latents.map((x) => x / vae.config.scalingFactor);
      const { image } = await vae.decode(size, unscaled);
      const shown = toChannelsFirst(image, size.images, vae.config.outChannels).map((x) =>
        Math.min(1, Math.max(0, x / 2 + 0.5)),
      );
      yield compare(imageKey, reference.shape, shown, reference.data, bound, pixels);
    }
  } finally {
    space.destroy();
    for (const component of [encoder, unet, vae]) component.destroy();
    for (const blend of [textBlend, unetBlend, vaeBlend]) await closeBlend(blend);
  }
}

/**
 * The reference made every scheduler from a DDIM scheduler in memory. diffusers passes on the options that were given
 * to it, not those at DDIM's own default ("leading" timesteps); the saved file no longer tells the two apart.
 */
const inherited = (config: SchedulerConfig): SchedulerConfig =>
  config.timestepSpacing === 'leading' ? { ...config, timestepSpacing: undefined } : config;

function numberIn(file: Golden, key: string): number {
  const value = Number(file.weights.metadata[key]);
  if (Number.isFinite(value)) return value;
  throw new CheckpointError(
    `${file.name}: __metadata__ has no number "${key}"; found "${file.weights.metadata[key]}"`,
    {
      file: file.name,
      key,
    },
  );
}

/** [negative prompt, prompt] as token ids. */
async function promptIds(file: Golden, text: Golden | undefined): Promise<number[][]> {
  if (!text) {
    throw new CheckpointError(
      `${file.name} takes its prompts from golden-text_encoder.safetensors, which is not there`,
      {
        file: file.name,
      },
    );
  }
  const rows = rowsOf(await text.tensor('input_ids'));
  return ['uncond_ids', 'cond_ids'].map((key) => {
    const said = file.weights.metadata[key];
    const row = rows[Number(/row (\d+)/.exec(said ?? '')?.[1] ?? Number.NaN)];
    if (row) return row;
    throw new CheckpointError(`${file.name}: __metadata__ "${key}" is "${said}"; expected "row N" of ${text.name}`, {
      file: file.name,
      key,
    });
  });
}

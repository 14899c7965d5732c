/** What single files of the wild hold beside the model, how they tell what they predict, and how they are closed. */
import { openSingleFile, type Source, type TensorSpec, UsageError } from '@diffusion-soup/core';
import { describe, expect, it } from 'vitest';
import { closeWeights } from '../../../packages/core/src/checkpoint/weights.ts';
import { fileOf, rejection, source } from '../../support/safetensors.ts';
import { layoutOf, SMALL1, SMALL2 } from '../../support/sd-models.ts';
import { hollowFile } from '../../support/sd-shapes.ts';
import { bytesOf } from '../../support/single-file.ts';

const CLIP = 'cond_stage_model.transformer.text_model.';
const OPEN_CLIP = 'cond_stage_model.model.';
const UNET = 'model.diffusion_model.';

const spec = (name: string, shape: readonly number[] = [1], dtype: TensorSpec['dtype'] = 'F32'): TensorSpec => ({
  name,
  dtype,
  shape,
});

const renamed = (tensors: readonly TensorSpec[], rename: (name: string) => string) =>
  tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));

const leftovers = [
  ...['betas', 'alphas_cumprod', 'alphas_cumprod_prev', 'sqrt_alphas_cumprod', 'sqrt_one_minus_alphas_cumprod'],
  ...['log_one_minus_alphas_cumprod', 'sqrt_recip_alphas_cumprod', 'sqrt_recipm1_alphas_cumprod'],
  ...['posterior_variance', 'posterior_log_variance_clipped', 'posterior_mean_coef1', 'posterior_mean_coef2'],
  ...['logvar', 'lvlb_weights', 'scale_factor', 'model_ema.decay', 'model_ema.num_updates'],
];

describe('beside the model', () => {
  it('what training left behind is ignored and said', async () => {
    const ids = spec(`${CLIP}embeddings.position_ids`, [1, 16], 'I64');
    const extra = [...leftovers.map((name) => spec(name)), ids];
    const single = await openSingleFile(hollowFile([...layoutOf(SMALL1), ...extra]));
    expect([...single.ignored].sort()).toEqual(extra.map(({ name }) => name).sort());
    expect([single.hasEma, single.notes]).toEqual([false, []]);
  });

  it('the old names of CLIP, without text_model, are read', async () => {
    const old = renamed(layoutOf(SMALL1), (name) => name.replace('.text_model.', '.'));
    expect(old.some(({ name }) => name === 'cond_stage_model.transformer.encoder.layers.3.mlp.fc2.bias')).toBe(true);
    const ids = spec('cond_stage_model.transformer.embeddings.position_ids', [1, 16], 'I64');
    const single = await openSingleFile(hollowFile([...old, ids]));
    const wanted = await openSingleFile(hollowFile(layoutOf(SMALL1)));
    const keys = async (file: typeof single) => [...(await file.weights('text_encoder'))!.tensors.keys()];
    expect(await keys(single)).toEqual(await keys(wanted));
    expect(single.ignored).toEqual([ids.name]);
  });

  it('the last layer of OpenCLIP, and what comes after it, are left out', async () => {
    const whole = layoutOf({ ...SMALL2, clip: { ...SMALL2.clip, layers: 24 } });
    const head = [spec(`${OPEN_CLIP}text_projection`, [64, 64]), spec(`${OPEN_CLIP}logit_scale`, [])];
    for (const extra of [[], head]) {
      const single = await openSingleFile(hollowFile([...whole, ...extra]));
      expect(await single.textEncoderConfig()).toMatchObject({ layers: 23, hiddenAct: 'gelu', heads: 1 });
      expect((await single.weights('text_encoder'))!.tensors.size).toBe(23 * 16 + 4);
      const last = whole.filter(({ name }) => name.includes('resblocks.23.'));
      expect([...single.ignored].sort()).toEqual([...last, ...extra].map(({ name }) => name).sort());
    }
    const other = await openSingleFile(hollowFile([...layoutOf(SMALL2), ...head]));
    expect(await other.textEncoderConfig()).toMatchObject({ layers: 3 });
  });

  it.each<[string, number[]]>([
    ['in one dimension', [1]],
    ['as a matrix', []],
  ])("the VAE's attention may be a convolution %s", async (_, kernel) => {
    const tensors = layoutOf(SMALL1).map((tensor) =>
      /attn_1\.(q|k|v|proj_out)\.weight/.test(tensor.name) ? { ...tensor, shape: [64, 64, ...kernel] } : tensor,
    );
    const single = await openSingleFile(hollowFile(tensors));
    const { tensors: vae } = (await single.weights('vae'))!;
    expect(vae.get('decoder.mid_block.attentions.0.to_q.weight')).toMatchObject({ shape: [64, 64] });
  });

  it.each([
    ['unet', UNET, ['unet', 'scheduler']],
    ['vae', 'first_stage_model.', ['vae']],
    ['text_encoder', 'cond_stage_model.', ['text_encoder']],
  ])('a file with the %s alone', async (_, prefix, components) => {
    const single = await openSingleFile(hollowFile(layoutOf(SMALL2).filter(({ name }) => name.startsWith(prefix))));
    expect([...single.components]).toEqual(components);
    expect(await single.text('tokenizer/vocab.json')).toBeUndefined();
    const [has, lacks] = components[0] === 'vae' ? (['vae', 'unet'] as const) : ([components[0]!, 'vae'] as const);
    expect(await single.weights(has as 'vae')).toBeDefined();
    expect(await single.weights(lacks)).toBeUndefined();
    expect(await single.config(lacks)).toBeUndefined();
    const message = expect.stringContaining(`hollow.safetensors has no ${lacks}`);
    expect(await rejection(lacks === 'vae' ? single.vaeConfig() : single.unetConfig())).toMatchObject({ message });
  });
});

describe('an averaged copy', () => {
  const emaOf = (name: string) => `model_ema.${name.slice('model.'.length).replaceAll('.', '')}`;
  const plain = layoutOf(SMALL1).map(({ parts: _, ...tensor }) => tensor);
  const unet = plain.filter(({ name }) => name.startsWith(UNET));
  const file = () => {
    const fill = (tensor: TensorSpec, value: number) => {
      const bytes = new Uint8Array(2 * tensor.shape.reduce((a, b) => a * b, 1)).fill(value);
      return { ...tensor, bytes };
    };
    const copy = renamed(unet, emaOf).map((tensor) => fill(tensor, 2));
    return source(fileOf([...plain.map((tensor) => fill(tensor, 1)), ...copy]));
  };

  it('has the names that training gives it', () => {
    expect(emaOf(`${UNET}input_blocks.0.0.weight`)).toBe('model_ema.diffusion_modelinput_blocks00weight');
  });

  it.each([
    [false, 1],
    [true, 2],
  ])('is taken when asked for: %j', async (ema, value) => {
    const single = await openSingleFile(file(), { ema });
    const { tensors } = (await single.weights('unet'))!;
    expect(tensors.size).toBe(unet.length);
    expect((await bytesOf(tensors.get('conv_in.weight')!))[0]).toBe(value);
    expect((await bytesOf((await single.weights('vae'))!.tensors.get('quant_conv.bias')!))[0]).toBe(1);
    expect(single.hasEma).toBe(true);
    expect(single.notes.length).toBe(ema ? 0 : 1);
    const others = ema ? unet.map(({ name }) => name) : unet.map(({ name }) => emaOf(name));
    expect([...single.ignored].sort()).toEqual(others.sort());
  });

  it('that lacks a tensor is refused', async () => {
    const copy = renamed(unet, emaOf).slice(1);
    const error = await rejection(openSingleFile(hollowFile([...plain, ...copy]), { ema: true }));
    expect(error).toMatchObject({ name: 'CheckpointError', facts: { tensor: emaOf(unet[0]!.name) } });
  });

  it('needs more than 100 tensors, as diffusers has it', async () => {
    const copy = renamed(unet, emaOf);
    expect((await openSingleFile(hollowFile([...plain, ...copy.slice(0, 101)]))).hasEma).toBe(true);
    const few = hollowFile([...plain, ...copy.slice(0, 100)]);
    expect((await openSingleFile(few)).hasEma).toBe(false);
    expect(await rejection(openSingleFile(few, { ema: true }))).toBeInstanceOf(UsageError);
  });
});

describe('what it predicts', () => {
  const steps = (value: bigint) => {
    const bytes = new Uint8Array(new BigInt64Array([value]).buffer);
    const zeros = layoutOf(SMALL2).map((tensor) => {
      const size = 2 * tensor.shape.reduce((a, b) => a * b, 1);
      return { ...tensor, bytes: new Uint8Array(size) };
    });
    return source(fileOf([...zeros, { name: 'global_step', dtype: 'I64', shape: [], bytes }]));
  };

  it.each<[string, Source, string, number]>([
    ['version 1', hollowFile(layoutOf(SMALL1)), 'epsilon', 0],
    ['version 2', hollowFile(layoutOf(SMALL2)), 'v_prediction', 1],
    ['metadata', hollowFile(layoutOf(SMALL1), { 'modelspec.prediction_type': 'v' }), 'v_prediction', 0],
    ['metadata', hollowFile(layoutOf(SMALL2), { 'modelspec.prediction_type': 'epsilon' }), 'epsilon', 0],
    [
      'architecture',
      hollowFile(layoutOf(SMALL2), { 'modelspec.architecture': 'stable-diffusion-v2-512' }),
      'epsilon',
      0,
    ],
    ['unknown metadata', hollowFile(layoutOf(SMALL2), { 'modelspec.prediction_type': 'toString' }), 'v_prediction', 1],
    ['steps of 2-base', steps(875_000n), 'epsilon', 0],
    ['other steps', steps(1n), 'v_prediction', 0],
  ])('by %s', async (_, file, type, notes) => {
    const single = await openSingleFile(file);
    expect((await single.schedulerConfig()).predictionType).toBe(type);
    expect(await single.config('scheduler')).toMatchObject({ prediction_type: type });
    expect(single.notes.length).toBe(notes);
  });

  it('by the option, above all', async () => {
    const file = hollowFile(layoutOf(SMALL2), { 'modelspec.prediction_type': 'v' });
    const configs = { scheduler: { prediction_type: 'v_prediction', beta_start: 0.5, beta_end: 0.75 } };
    const single = await openSingleFile(file, { predictionType: 'epsilon', configs });
    expect(await single.schedulerConfig()).toMatchObject({ predictionType: 'epsilon', betaStart: 0.5 });
    expect(single.notes).toEqual([]);
  });

  it('the size of its pictures is what the metadata says', async () => {
    const single = await openSingleFile(hollowFile(layoutOf(SMALL1), { 'modelspec.resolution': '640x640' }));
    expect(await single.vaeConfig()).toMatchObject({ sampleSize: 640 });
    expect(await single.unetConfig()).toMatchObject({ sampleSize: 320 });
  });
});

describe('the file', () => {
  it('is opened for each reader, who closes it', async () => {
    const open = new Set<number>();
    let opened = 0;
    const single = await openSingleFile(async () => {
      const id = opened++;
      open.add(id);
      return { ...hollowFile(layoutOf(SMALL1)), close: async () => void open.delete(id) };
    });
    expect([opened, open.size]).toEqual([1, 0]);
    const [unet, vae] = [await single.weights('unet'), await single.weights('vae')];
    expect(open.size).toBe(2);
    await closeWeights(unet!);
    expect(open.size).toBe(1);
    await bytesOf(vae!.tensors.get('quant_conv.bias')!);
    await closeWeights(vae!);
    expect(open.size).toBe(0);
  });

  it('stays open when it was open', async () => {
    let closed = 0;
    const file = { ...hollowFile(layoutOf(SMALL1)), close: async () => void closed++ };
    await closeWeights((await (await openSingleFile(file)).weights('unet'))!);
    expect(closed).toBe(0);
  });

  it('is closed when it is refused, or has changed', async () => {
    let [closed, size] = [0, 0];
    const open = async () => {
      const file = hollowFile(size === 0 ? layoutOf(SMALL1) : [spec('x', [size])]);
      return { ...file, close: async () => void closed++ };
    };
    const single = await openSingleFile(open);
    size = 7;
    expect(await rejection(single.weights('vae'))).toMatchObject({ name: 'DiskError' });
    expect(await rejection(openSingleFile(open))).toMatchObject({ name: 'CheckpointError' });
    expect(closed).toBe(3);
  });

  it('is read no further than its header', async () => {
    const file = hollowFile(layoutOf(SMALL1));
    let most = 0;
    const single = await openSingleFile({
      ...file,
      readInto: (target, offset) => {
        most = Math.max(most, offset + target.length);
        return file.readInto(target, offset);
      },
    });
    const first = Math.min(...[...(await single.weights('unet'))!.tensors.values()].map(({ offset }) => offset));
    expect(most).toBeLessThanOrEqual(first);
  });
});

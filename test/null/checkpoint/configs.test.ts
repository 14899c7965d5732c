/** What the four configs become, and that whatever is not implemented is refused by name. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  parseClipTextConfig,
  parseSchedulerConfig,
  parseUNetConfig,
  parseVaeConfig,
} from '../../../packages/core/src/checkpoint/configs.ts';
import { parseConfigJson } from '../../../packages/core/src/checkpoint/json.ts';
import { ConfigError } from '../../../packages/core/src/errors.ts';
import { PANTRY, REFERENCE } from '../../support/files.ts';

const real = (path: string) => parseConfigJson(readFileSync(path, 'utf8'), path);

describe('real files', () => {
  it.each([`${PANTRY}/base`, `${REFERENCE}/sd15-tiny`, `${REFERENCE}/sd21-tiny`])('%s is read', (folder) => {
    expect(parseUNetConfig(real(`${folder}/unet/config.json`))).toBeDefined();
    expect(parseVaeConfig(real(`${folder}/vae/config.json`))).toBeDefined();
    expect(parseClipTextConfig(real(`${folder}/text_encoder/config.json`))).toBeDefined();
    expect(parseSchedulerConfig(real(`${folder}/scheduler/scheduler_config.json`))).toBeDefined();
  });

  it.each(['noto', 'ink', 'paragon', 'fluent', 'twemoji'])('the UNet of %s is the one of base', (name) => {
    const base = parseUNetConfig(real(`${PANTRY}/base/unet/config.json`));
    expect(parseUNetConfig(real(`${PANTRY}/${name}/unet/config.json`))).toEqual(base);
  });

  it('pantry/base/unet becomes', () => {
    expect(parseUNetConfig(real(`${PANTRY}/base/unet/config.json`))).toEqual({
      inChannels: 8,
      outChannels: 8,
      blockOutChannels: [64, 96, 128],
      downBlocks: [{ attention: true }, { attention: true }, { attention: false }],
      upBlocks: [{ attention: false }, { attention: true }, { attention: true }],
      midBlock: 'cross-attention',
      layersPerBlock: [1, 1, 1],
      heads: [2, 4, 4],
      transformerLayers: [1, 1, 1],
      crossAttentionDim: [128, 128, 128],
      useLinearProjection: true,
      normGroups: 16,
      normEps: 1e-5,
      flipSinToCos: true,
      freqShift: 0,
      centerInputSample: false,
      convInKernel: 3,
      convOutKernel: 3,
      sampleSize: 16,
      downsamplePadding: 1,
      midBlockScaleFactor: 1,
    });
  });

  it('pantry/base/scheduler, with its -Infinity, becomes', () => {
    const { raw, ...config } = parseSchedulerConfig(real(`${PANTRY}/base/scheduler/scheduler_config.json`));
    expect(config).toEqual({
      className: undefined,
      numTrainTimesteps: 1000,
      betaStart: 0.00085,
      betaEnd: 0.012,
      betaSchedule: 'scaled_linear',
      trainedBetas: null,
      predictionType: 'v_prediction',
      timestepSpacing: 'linspace',
      stepsOffset: 1,
      setAlphaToOne: undefined,
      solverOrder: 2,
      useKarrasSigmas: false,
      finalSigmasType: 'zero',
      rescaleBetasZeroSnr: false,
    });
    expect(raw).toMatchObject({ lambda_min_clipped: -Infinity, algorithm_type: 'dpmsolver++' });
  });
});

describe('an empty config has the defaults of diffusers and transformers', () => {
  it('UNet', () =>
    expect(parseUNetConfig({})).toMatchObject({
      inChannels: 4,
      blockOutChannels: [320, 640, 1280, 1280],
      downBlocks: [{ attention: true }, { attention: true }, { attention: true }, { attention: false }],
      upBlocks: [{ attention: false }, { attention: true }, { attention: true }, { attention: true }],
      layersPerBlock: [2, 2, 2, 2],
      heads: [8, 8, 8, 8],
      crossAttentionDim: [1280, 1280, 1280, 1280],
      normGroups: 32,
      sampleSize: 64,
    }));

  it('VAE', () =>
    expect(parseVaeConfig({})).toEqual({
      inChannels: 3,
      outChannels: 3,
      latentChannels: 4,
      blockOutChannels: [64],
      layersPerBlock: 1,
      normGroups: 32,
      actFn: 'silu',
      scalingFactor: 0.18215,
      shiftFactor: 0,
      sampleSize: 32,
      useQuantConv: true,
      usePostQuantConv: true,
      midBlockAttention: true,
      latentsMean: null,
      latentsStd: null,
    }));

  it('CLIP', () =>
    expect(parseClipTextConfig({})).toEqual({
      vocabSize: 49408,
      hiddenSize: 512,
      intermediateSize: 2048,
      layers: 12,
      heads: 8,
      maxPositions: 77,
      hiddenAct: 'quick_gelu',
      layerNormEps: 1e-5,
      bosTokenId: 49406,
      eosTokenId: 49407,
      padTokenId: 1,
      projectionDim: 512,
    }));

  it.each([
    [undefined, 0.0001, 0.02, 'linear'],
    ['PNDMScheduler', 0.0001, 0.02, 'linear'],
    ['HeunDiscreteScheduler', 0.00085, 0.012, 'linear'],
    ['LCMScheduler', 0.00085, 0.012, 'scaled_linear'],
    ['constructor', 0.0001, 0.02, 'linear'],
  ])('scheduler %s', (className, betaStart, betaEnd, betaSchedule) =>
    expect(parseSchedulerConfig({ _class_name: className })).toMatchObject({ betaStart, betaEnd, betaSchedule }),
  );
});

describe('accepted variants', () => {
  it.each<[Record<string, unknown>, Record<string, unknown>]>([
    [{ _class_name: 'UNet2DConditionModel', _diffusers_version: '0.6.0' }, {}],
    [{ some_new_option: null, another: false }, {}],
    [{ dropout: 0.1, upcast_attention: true, decay: 0.9999, use_ema_warmup: true }, {}],
    [{ act_fn: 'swish' }, {}],
    [
      { attention_head_dim: [5, 10, 20, 20], cross_attention_dim: 1024, use_linear_projection: true },
      { heads: [5, 10, 20, 20] },
    ],
    [{ only_cross_attention: [false, false, false, false] }, {}],
    [{ mid_block_type: null }, { midBlock: 'none' }],
    [{ mid_block_type: 'UNetMidBlock2D' }, { midBlock: 'plain' }],
    [{ layers_per_block: [1, 2, 3, 4] }, { layersPerBlock: [1, 2, 3, 4] }],
    [{ transformer_layers_per_block: [1, 2, 10, 1] }, { transformerLayers: [1, 2, 10, 1] }],
    [
      { sample_size: [96, 96], in_channels: 9 },
      { sampleSize: 96, inChannels: 9 },
    ],
    [{ conv_in_kernel: 1, conv_out_kernel: 5, freq_shift: 1, center_input_sample: true }, { convInKernel: 1 }],
  ])('UNet %j', (options, becomes) => expect(parseUNetConfig(options)).toMatchObject(becomes));

  it('CLIP as transformers 4.2x wrote it', () => {
    const old = {
      _name_or_path: 'openai/clip-vit-large-patch14',
      architectures: ['CLIPTextModel'],
      attention_dropout: 0.0,
      bos_token_id: 0,
      dropout: 0.0,
      eos_token_id: 2,
      hidden_act: 'quick_gelu',
      hidden_size: 768,
      initializer_factor: 1.0,
      initializer_range: 0.02,
      intermediate_size: 3072,
      layer_norm_eps: 1e-5,
      max_position_embeddings: 77,
      model_type: 'clip_text_model',
      num_attention_heads: 12,
      num_hidden_layers: 12,
      pad_token_id: 1,
      projection_dim: 768,
      torch_dtype: 'float32',
      transformers_version: '4.22.0.dev0',
      vocab_size: 49408,
      id2label: { 0: 'LABEL_0' },
      label2id: { LABEL_0: 0 },
      max_length: 20,
      top_k: 50,
      pruned_heads: {},
      add_cross_attention: false,
      no_repeat_ngram_size: 0,
      return_dict: true,
      use_cache: true,
      task_specific_params: null,
      prefix: '',
      tie_word_embeddings: true,
    };
    expect(parseClipTextConfig(old)).toMatchObject({ hiddenSize: 768, eosTokenId: 2, projectionDim: 768 });
  });

  it.each<[Record<string, unknown>, Record<string, unknown>]>([
    [
      { clip_sample: false, skip_prk_steps: true, set_alpha_to_one: false, steps_offset: 1 },
      { setAlphaToOne: false, stepsOffset: 1 },
    ],
    [{ num_train_timesteps: 2, trained_betas: [0.1, 0.2] }, { trainedBetas: [0.1, 0.2] }],
    [{ rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }, { rescaleBetasZeroSnr: true }],
    [{ beta_schedule: 'squaredcos_cap_v2', thresholding: null }, { betaSchedule: 'squaredcos_cap_v2' }],
    [{ option_of_a_new_sampler: 7 }, { raw: { option_of_a_new_sampler: 7 } }],
  ])('scheduler %j', (options, becomes) => expect(parseSchedulerConfig(options)).toMatchObject(becomes));
});

type Parse = (json: unknown) => unknown;
const UNET: [Parse, string] = [parseUNetConfig, 'unet/config.json'];
const VAE: [Parse, string] = [parseVaeConfig, 'vae/config.json'];
const CLIP: [Parse, string] = [parseClipTextConfig, 'text_encoder/config.json'];
const SCHEDULER: [Parse, string] = [parseSchedulerConfig, 'scheduler/scheduler_config.json'];

describe('refused by name', () => {
  it.each<[[Parse, string], Record<string, unknown>, string]>([
    [UNET, { class_embed_type: 'timestep' }, '"class_embed_type" is "timestep"; this engine supports only null'],
    [
      UNET,
      { _class_name: 'UNetMotionModel' },
      '"_class_name" is "UNetMotionModel"; this engine supports only "UNet2DConditionModel"',
    ],
    [
      UNET,
      { addition_embed_type: 'text_time' },
      '"addition_embed_type" is "text_time"; this engine supports only null',
    ],
    [UNET, { num_class_embeds: 1000 }, '"num_class_embeds" is 1000; this engine supports only null'],
    [UNET, { time_cond_proj_dim: 256 }, '"time_cond_proj_dim" is 256; this engine supports only null'],
    [UNET, { encoder_hid_dim: 4096 }, '"encoder_hid_dim" is 4096'],
    [UNET, { dual_cross_attention: true }, '"dual_cross_attention" is true; this engine supports only false'],
    [UNET, { only_cross_attention: true }, '"only_cross_attention" is true; this engine supports only false'],
    [UNET, { only_cross_attention: [true, false, false, false] }, '"only_cross_attention" is [true,false,false,false]'],
    [UNET, { mid_block_only_cross_attention: true }, '"mid_block_only_cross_attention" is true'],
    [
      UNET,
      { resnet_time_scale_shift: 'scale_shift' },
      '"resnet_time_scale_shift" is "scale_shift"; this engine supports only "default"',
    ],
    [UNET, { time_embedding_type: 'fourier' }, '"time_embedding_type" is "fourier"'],
    [UNET, { act_fn: 'gelu' }, '"act_fn" is "gelu"; this engine supports only "silu" or "swish"'],
    [UNET, { num_attention_heads: 8 }, '"num_attention_heads" is 8; this engine supports only null'],
    [UNET, { attention_type: 'gated' }, '"attention_type" is "gated"'],
    [UNET, { cross_attention_norm: 'layer_norm' }, '"cross_attention_norm" is "layer_norm"'],
    [
      UNET,
      { mid_block_type: 'UNetMidBlock2DSimpleCrossAttn' },
      '"mid_block_type" is "UNetMidBlock2DSimpleCrossAttn"; this engine supports only',
    ],
    [
      UNET,
      { down_block_types: ['AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D', 'DownBlock2D'] },
      '"down_block_types[0]" is "AttnDownBlock2D"',
    ],
    [UNET, { down_block_types: ['DownBlock2D'] }, '"down_block_types" is ["DownBlock2D"]; expected 4 of them'],
    [UNET, { block_out_channels: [320, 640] }, 'expected 2 of them, one for each of block_out_channels'],
    [UNET, { block_out_channels: [] }, '"block_out_channels" is []; expected a list of 1 to 16 levels'],
    [UNET, { block_out_channels: Array(17).fill(32) }, 'expected a list of 1 to 16 levels'],
    [
      UNET,
      { block_out_channels: [320, 640, 1280, 70000] },
      '"block_out_channels[3]" is 70000; expected a whole number from 1 to 65536',
    ],
    [
      UNET,
      { block_out_channels: [320, 640, 1280, 1279] },
      '"block_out_channels[3]" is 1279; expected a multiple of norm_num_groups, 32',
    ],
    [UNET, { block_out_channels: [1, 1, 1, 1], norm_num_groups: 1, attention_head_dim: 1 }, 'expected an even number'],
    [
      UNET,
      { attention_head_dim: 7 },
      '"block_out_channels[0]" is 320; expected a multiple of attention_head_dim, here the number of heads, 7',
    ],
    [UNET, { attention_head_dim: 1e6 }, '"attention_head_dim" is 1000000; expected a whole number from 1 to 1024'],
    [UNET, { attention_head_dim: [8, 8] }, '"attention_head_dim" is [8,8]; expected 4 of them'],
    [UNET, { cross_attention_dim: 1e12 }, '"cross_attention_dim" is 1000000000000; expected a whole number'],
    [UNET, { in_channels: 0 }, '"in_channels" is 0; expected a whole number from 1'],
    [UNET, { in_channels: 4.5 }, '"in_channels" is 4.5; expected a whole number'],
    [UNET, { in_channels: '4' }, '"in_channels" is "4"; expected a whole number'],
    [UNET, { in_channels: Number.NaN }, '"in_channels" is NaN; expected a whole number'],
    [UNET, { norm_eps: Number.POSITIVE_INFINITY }, '"norm_eps" is Infinity; expected a number above 0'],
    [UNET, { norm_eps: 0 }, '"norm_eps" is 0; expected a number above 0'],
    [UNET, { norm_num_groups: null }, '"norm_num_groups" is null; expected a whole number'],
    [UNET, { layers_per_block: 100 }, '"layers_per_block" is 100; expected a whole number from 1 to 64'],
    [
      UNET,
      { transformer_layers_per_block: [[1], [1], [1], [1]] },
      '"transformer_layers_per_block" is [[1],[1],[1],[1]]',
    ],
    [UNET, { reverse_transformer_layers_per_block: [1, 2] }, '"reverse_transformer_layers_per_block" is [1,2]'],
    [UNET, { conv_in_kernel: 4 }, '"conv_in_kernel" is 4; this engine supports only 1, 3, 5 or 7'],
    [UNET, { downsample_padding: 2 }, '"downsample_padding" is 2; this engine supports only 0 or 1'],
    [
      UNET,
      { sample_size: [64, 96] },
      '"sample_size" is [64,96]; expected a whole number from 1 to 65536, or two that are equal',
    ],
    [UNET, { mid_block_scale_factor: 1.5 }, '"mid_block_scale_factor" is 1.5; this engine supports only 1'],
    [VAE, { shift_factor: 0.1 }, '"shift_factor" is 0.1; this engine supports only null or 0'],
    [UNET, { flip_sin_to_cos: 1 }, '"flip_sin_to_cos" is 1; expected true or false'],
    [UNET, { option_of_tomorrow: 'on' }, '"option_of_tomorrow" is "on"; this engine does not know the option'],
    [UNET, { '\u001b[31m': 1 }, '"\\u{1b}[31m" is 1; this engine does not know the option'],
    [VAE, { _class_name: 'AutoencoderKLQwenImage' }, '"_class_name" is "AutoencoderKLQwenImage"'],
    [VAE, { latents_mean: [0, 0] }, '"latents_mean" is [0,0]; this engine supports only null'],
    [VAE, { down_block_types: ['AttnDownEncoderBlock2D'] }, '"down_block_types[0]" is "AttnDownEncoderBlock2D"'],
    [VAE, { block_out_channels: [64, 128] }, '"down_block_types" is ["DownEncoderBlock2D"]; expected 2 of them'],
    [VAE, { norm_num_groups: 48 }, '"block_out_channels[0]" is 64; expected a multiple of norm_num_groups, 48'],
    [VAE, { scaling_factor: 0 }, '"scaling_factor" is 0; expected a number above 0'],
    [VAE, { act_fn: 'relu' }, '"act_fn" is "relu"'],
    [VAE, { layers_per_block: [1] }, '"layers_per_block" is [1]; expected a whole number from 1 to 64'],
    [VAE, { attention_levels: 2 }, '"attention_levels" is 2; this engine does not know the option'],
    [CLIP, { hidden_act: 'relu' }, '"hidden_act" is "relu"; this engine supports only "quick_gelu" or "gelu"'],
    [CLIP, { model_type: 'clip' }, '"model_type" is "clip"; this engine supports only "clip_text_model"'],
    [CLIP, { hidden_size: 500 }, '"hidden_size" is 500; expected a multiple of num_attention_heads, 8'],
    [CLIP, { hidden_size: 1e9 }, '"hidden_size" is 1000000000; expected a whole number from 1 to 65536'],
    [CLIP, { vocab_size: 2 ** 40 }, '"vocab_size" is 1099511627776; expected a whole number'],
    [CLIP, { num_hidden_layers: 65 }, '"num_hidden_layers" is 65; expected a whole number from 1 to 64'],
    [CLIP, { pruned_heads: { 0: [1] } }, '"pruned_heads" is {"0":[1]}; this engine does not know the option'],
    [CLIP, { eos_token_id: -1 }, '"eos_token_id" is -1; expected a token id'],
    [CLIP, { quantization_config: { bits: 4 } }, '"quantization_config" is {"bits":4}; this engine does not know'],
    [
      SCHEDULER,
      { prediction_type: 'sample' },
      '"prediction_type" is "sample"; this engine supports only "epsilon" or "v_prediction"',
    ],
    [SCHEDULER, { prediction_type: 'flow_prediction' }, '"prediction_type" is "flow_prediction"'],
    [SCHEDULER, { thresholding: true }, '"thresholding" is true; this engine supports only false'],
    [SCHEDULER, { clip_sample: true }, '"clip_sample" is true; this engine supports only false'],
    [SCHEDULER, { _class_name: 'DDIMScheduler' }, '"clip_sample" is missing; that means true for DDIMScheduler'],
    [SCHEDULER, { use_flow_sigmas: true }, '"use_flow_sigmas" is true'],
    [SCHEDULER, { use_beta_sigmas: true }, '"use_beta_sigmas" is true'],
    [SCHEDULER, { use_exponential_sigmas: true }, '"use_exponential_sigmas" is true'],
    [SCHEDULER, { variance_type: 'learned_range' }, '"variance_type" is "learned_range"'],
    [SCHEDULER, { beta_schedule: 'sigmoid' }, '"beta_schedule" is "sigmoid"'],
    [SCHEDULER, { beta_start: -1 }, '"beta_start" is -1; expected a number above 0'],
    [SCHEDULER, { beta_start: 0.5, beta_end: 0.1 }, '"beta_end" is 0.1; expected beta_start, 0.5, or more'],
    [SCHEDULER, { num_train_timesteps: 1e9 }, '"num_train_timesteps" is 1000000000'],
    [SCHEDULER, { trained_betas: [0.1] }, '"trained_betas" is [0.1]; expected 1000 of them'],
    [SCHEDULER, { trained_betas: [2] }, '"trained_betas[0]" is 2; expected a number below 1'],
    [SCHEDULER, { timestep_spacing: 'log' }, '"timestep_spacing" is "log"'],
    [SCHEDULER, { steps_offset: 0.5 }, '"steps_offset" is 0.5; expected a whole number'],
    [SCHEDULER, { sigma_max: 80 }, '"sigma_max" is 80; this engine supports only null'],
  ])('%o', ([parse, file], options, says) => {
    const error = (() => {
      try {
        return parse(options);
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(ConfigError);
    const { message, facts, exitCode } = error as ConfigError;
    expect(message).toContain(`${file}: "`);
    expect(message).toContain(says);
    expect(exitCode).toBe(3);
    expect(facts.file).toBe(file);
    expect(message).toContain(`"${facts.key}" is ${facts.found}; `);
  });

  it.each([null, 7, 'text', [[]], true])('a config that is %j', (json) =>
    expect(() => parseUNetConfig(json)).toThrow('expected a JSON object with options'),
  );
});

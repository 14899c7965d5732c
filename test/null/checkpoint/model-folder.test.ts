/** Folders: which files are found, in which order, and the indexes that must not be followed. */
import { describe, expect, it } from 'vitest';
import { openModelFolder } from '../../../packages/core/src/checkpoint/model-folder.ts';
import { closeWeights } from '../../../packages/core/src/checkpoint/weights.ts';
import { CheckpointError, ConfigError, SoupError, UsageError } from '../../../packages/core/src/errors.ts';
import { diskFolder, PANTRY, REFERENCE } from '../../support/files.ts';
import { memoryFolder, rejection, safetensorsFile } from '../../support/safetensors.ts';

/** A file that holds one byte for each name. */
function fileWith(...names: string[]): Uint8Array {
  const entries = names.map(
    (name, i) => `${JSON.stringify(name)}:{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
  );
  return safetensorsFile(`{${entries.join()}}`, { data: names.length });
}

const STEM = 'unet/diffusion_pytorch_model';
const UNET = { 'unet/config.json': '{}' };
const INDEX = `${STEM}.safetensors.index.json`;
const indexOf = (weightMap: Record<string, string>) =>
  JSON.stringify({ metadata: { total_size: 2 }, weight_map: weightMap });
const shard = (number: number) => `diffusion_pytorch_model-0000${number}-of-00002.safetensors`;

describe('a real folder', () => {
  it('pantry/base has every part', async () => {
    const model = await openModelFolder(diskFolder(`${PANTRY}/base`));
    expect(model.index).toEqual({
      className: 'StableDiffusionPipeline',
      components: new Map([
        ['text_encoder', 'CLIPTextModel'],
        ['tokenizer', 'CLIPTokenizer'],
        ['unet', 'UNet2DConditionModel'],
        ['vae', 'AutoencoderKL'],
        ['scheduler', 'DPMSolverMultistepScheduler'],
      ]),
    });
    expect([...model.components]).toEqual(['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler']);
    expect(await model.unetConfig()).toMatchObject({ inChannels: 8 });
    expect(await model.vaeConfig()).toMatchObject({ latentChannels: 8, scalingFactor: 0.71198 });
    expect(await model.textEncoderConfig()).toMatchObject({ hiddenSize: 128, hiddenAct: 'gelu' });
    expect(await model.schedulerConfig()).toMatchObject({
      className: 'DPMSolverMultistepScheduler',
      predictionType: 'v_prediction',
    });
    expect(await model.text('tokenizer/merges.txt')).toContain('#version');
    for (const part of ['unet', 'vae', 'text_encoder'] as const) {
      const weights = await model.weights(part);
      expect(weights?.tensors.size, part).toBeGreaterThan(10);
      await closeWeights(weights!);
    }
  });

  it('pantry/noto has a UNet alone, and no index', async () => {
    const model = await openModelFolder(diskFolder(`${PANTRY}/noto`));
    expect(model.index).toBeUndefined();
    expect([...model.components]).toEqual(['unet']);
    const weights = await model.weights('unet');
    expect(weights?.tensors.get('conv_in.weight')).toMatchObject({ dtype: 'F16', shape: [64, 8, 3, 3] });
    await closeWeights(weights!);
    expect(await model.weights('vae')).toBeUndefined();
    expect(await model.config('vae')).toBeUndefined();
    expect(await rejection(model.vaeConfig())).toMatchObject({
      message: expect.stringContaining('has no vae/config.json'),
    });
  });

  it.each(['sd15-tiny', 'sd21-tiny'])('%s works without its tokenizer', async (name) => {
    const model = await openModelFolder(diskFolder(`${REFERENCE}/${name}`));
    expect([...model.components]).toEqual(['unet', 'vae', 'text_encoder', 'scheduler']);
    expect(await model.text('tokenizer/vocab.json')).toBeUndefined();
    expect(await model.schedulerConfig()).toMatchObject({ className: 'DDIMScheduler' });
  });
});

describe('the file of weights', () => {
  it.each<[string, Record<string, string | Uint8Array>, string | undefined, string]>([
    [
      'plain',
      { [`${STEM}.safetensors`]: fileWith('plain'), [`${STEM}.fp16.safetensors`]: fileWith('half') },
      undefined,
      'plain',
    ],
    ['fp16 when it is alone', { [`${STEM}.fp16.safetensors`]: fileWith('half') }, undefined, 'half'],
    [
      'fp16 when it is preferred',
      { [`${STEM}.safetensors`]: fileWith('plain'), [`${STEM}.fp16.safetensors`]: fileWith('half') },
      'fp16',
      'half',
    ],
    ['plain when the preferred variant is missing', { [`${STEM}.safetensors`]: fileWith('plain') }, 'fp16', 'plain'],
    [
      'another variant',
      { [`${STEM}.safetensors`]: fileWith('plain'), [`${STEM}.non_ema.safetensors`]: fileWith('raw') },
      'non_ema',
      'raw',
    ],
    [
      'shards of a variant',
      { [`${STEM}.safetensors.index.fp16.json`]: indexOf({ a: 'x.safetensors' }), 'unet/x.safetensors': fileWith('a') },
      'fp16',
      'a',
    ],
  ])('is %s', async (_, files, variant, tensor) => {
    const { folder, open } = memoryFolder({ ...UNET, ...files });
    const model = await openModelFolder(folder, { variant });
    const weights = await model.weights('unet');
    expect([...weights!.tensors.keys()]).toEqual([tensor]);
    await closeWeights(weights!);
    expect(open.size).toBe(0);
  });

  it('is all shards of an index', async () => {
    const { folder, open } = memoryFolder({
      ...UNET,
      [INDEX]: indexOf({ a: shard(1), b: shard(2), c: shard(1) }),
      [`unet/${shard(1)}`]: fileWith('a', 'c'),
      [`unet/${shard(2)}`]: fileWith('b'),
    });
    const weights = await (await openModelFolder(folder)).weights('unet');
    expect([...weights!.tensors].map(([name, { source }]) => [name, source.name])).toEqual([
      ['a', `model/unet/${shard(1)}`],
      ['c', `model/unet/${shard(1)}`],
      ['b', `model/unet/${shard(2)}`],
    ]);
    expect(open.size).toBe(2);
    await closeWeights(weights!);
    expect(open.size).toBe(0);
  });

  it.each([
    'unet/diffusion_pytorch_model.bin',
    'unet/diffusion_pytorch_model.fp16.bin',
    'unet/pytorch_model.bin',
    'unet/diffusion_flax_model.msgpack',
    'unet/model.onnx',
  ])('is never %s', async (path) => {
    const model = await openModelFolder(memoryFolder({ ...UNET, [path]: 'x' }).folder);
    const error = await rejection(model.weights('unet'));
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toMatch(`model/${path} is the only file of weights`);
    expect((error as Error).message).toContain('safe_serialization=True');
  });

  it('is refused when damaged, and closed', async () => {
    const { folder, open } = memoryFolder({
      ...UNET,
      [`${STEM}.safetensors`]: 'version https://git-lfs.github.com/spec/v1',
    });
    const error = await rejection((await openModelFolder(folder)).weights('unet'));
    expect(error).toMatchObject({ exitCode: 3, facts: { file: `model/${STEM}.safetensors` } });
    expect(open.size).toBe(0);
  });
});

describe('a hostile index of shards', () => {
  const outside = { ...UNET, 'x.safetensors': fileWith('a'), 'unet/x.safetensors': fileWith('a') };
  it.each<[string, Record<string, string | Uint8Array>, string]>([
    ...[
      '../x.safetensors',
      '..',
      './x.safetensors',
      '/etc/x.safetensors',
      '\\\\host\\share\\x.safetensors',
      '..\\x.safetensors',
      'C:x.safetensors',
      'file:///x.safetensors',
      'https://evil.example/x.safetensors',
      'sub/x.safetensors',
      '..%2fx.safetensors',
      '~x.safetensors',
      '.hidden.safetensors',
      'x\u0000.safetensors',
      'x\u001b[31m.safetensors',
      'x\u202e.safetensors',
      'x.bin',
      '',
      `${'x'.repeat(300)}.safetensors`,
    ].map((name): [string, Record<string, string>, string] => [
      JSON.stringify(name).slice(0, 40),
      { [INDEX]: indexOf({ a: name }) },
      'tensor "a" is said to be in',
    ]),
    [
      'a missing shard',
      { [INDEX]: indexOf({ a: 'x.safetensors', b: 'y.safetensors' }) },
      'shard "y.safetensors" that it names is missing',
    ],
    [
      'a tensor in two shards',
      { [INDEX]: indexOf({ a: 'x.safetensors', b: 'y.safetensors' }), 'unet/y.safetensors': fileWith('b', 'a') },
      'tensor "a" is here, but',
    ],
    [
      'a tensor that no shard has',
      { [INDEX]: indexOf({ a: 'x.safetensors', b: 'x.safetensors' }) },
      'tensor "b" should be in "x.safetensors" but is not',
    ],
    [
      'a tensor that the index does not name',
      { [INDEX]: indexOf({ a: 'y.safetensors' }), 'unet/y.safetensors': fileWith('a', 'b') },
      'tensor "b" is here',
    ],
    [
      '10,000 shards',
      { [INDEX]: indexOf(Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => [`t${i}`, `${i}.safetensors`]))) },
      'more than 1000 files',
    ],
    [
      'a tensor named twice',
      { [INDEX]: '{"weight_map":{"a":"x.safetensors","\\u0061":"y.safetensors"}}' },
      'the key "a" occurs twice',
    ],
    ['no weight_map', { [INDEX]: '{}' }, '"weight_map" is missing'],
    ['two weight_maps', { [INDEX]: '{"weight_map":{},"weight_map":{}}' }, '"weight_map" occurs twice'],
    ['a weight_map that is a list', { [INDEX]: '{"weight_map":[]}' }, 'expected an object'],
    ['a number for a file', { [INDEX]: '{"weight_map":{"a":1}}' }, 'expected a string'],
    ['no JSON', { [INDEX]: '<html>' }, 'expected an object'],
    ['no UTF-8', { [INDEX]: Uint8Array.of(0x7b, 0xff) }, 'is not UTF-8 at byte 1'],
  ])('%s', async (_, files, says) => {
    const { folder, open } = memoryFolder({ ...outside, ...files });
    const error = await rejection((await openModelFolder(folder)).weights('unet'));
    expect(error).toBeInstanceOf(SoupError);
    const { message, exitCode, facts } = error as SoupError;
    expect(exitCode).toBe(3);
    expect(message).toContain(says);
    expect(message).toContain('model/unet/');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(message).not.toMatch(/[\x00-\x1f\u202e]/);
    expect(facts.file).toMatch(/^model\/unet\//);
    expect(open.size, 'files left open').toBe(0);
  });
});

describe('a hostile model_index.json', () => {
  const index = (more: Record<string, unknown>) =>
    JSON.stringify({ _class_name: 'StableDiffusionPipeline', unet: ['diffusers', 'UNet2DConditionModel'], ...more });

  it.each<[string, string]>([
    [
      index({ _class_name: 'StableDiffusionXLPipeline' }),
      '"_class_name" is "StableDiffusionXLPipeline"; this engine runs only StableDiffusionPipeline',
    ],
    [index({ _class_name: 'FluxPipeline' }), '"_class_name" is "FluxPipeline"'],
    [index({ _class_name: 7 }), '"_class_name" is 7'],
    ['{}', '"_class_name" is missing'],
    ['[]', 'holds []; expected a JSON object'],
    [index({ unet: ['diffusers', 'FluxTransformer2DModel'] }), 'this engine has no such unet'],
    [index({ unet: ['evil_module', 'UNet2DConditionModel'] }), "code of the model's own is never run"],
    [index({ unet: ['diffusers', 'UNet2DConditionModel', 'x'] }), 'expected a library and a class'],
    [index({ unet: 'UNet2DConditionModel' }), 'expected a library and a class'],
    [
      index({ text_encoder: ['transformers', 'T5EncoderModel'] }),
      '"text_encoder" is ["transformers","T5EncoderModel"]',
    ],
    [index({ vae: ['diffusers', 'AutoencoderTiny'] }), '"vae" is ["diffusers","AutoencoderTiny"]'],
    [index({ scheduler: ['diffusers', 'os.system'] }), '"scheduler" is ["diffusers","os.system"]'],
    [index({ text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'] }), '"text_encoder_2" is'],
    [index({ controlnet: ['diffusers', 'ControlNetModel'] }), '"controlnet" is'],
    [index({ 'x\u001b[2J': ['a', 'b'] }), '"x\\u{1b}[2J" is ["a","b"]'],
    ['{"_class_name":"StableDiffusionPipeline","_class_name":"FluxPipeline"}', '"_class_name" occurs twice'],
    ['{"_class_name":', 'not valid JSON at byte 15'],
    [' '.repeat(1_000_001), 'has 1000001 bytes; expected at most 1000000'],
  ])('%.90s', async (json, says) => {
    const { folder, open } = memoryFolder({ ...UNET, 'model_index.json': json });
    const error = await rejection(openModelFolder(folder));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toContain('model/model_index.json');
    expect((error as ConfigError).message).toContain(says);
    expect((error as ConfigError).exitCode).toBe(3);
    expect(open.size).toBe(0);
  });

  it('may leave parts out, and name those that are ignored', async () => {
    const json = index({
      _class_name: 'StableDiffusionImg2ImgPipeline',
      safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
      feature_extractor: [null, null],
      image_encoder: null,
      requires_safety_checker: true,
      vae: [null, null],
      scheduler: ['diffusers', 'PNDMScheduler'],
      force_zeros_for_empty_prompt: false,
    });
    const { folder } = memoryFolder({ ...UNET, 'model_index.json': json, 'vae/config.json': '{}' });
    const model = await openModelFolder(folder);
    expect([...model.index!.components.keys()]).toEqual(['unet', 'scheduler']);
    expect([...model.components]).toEqual(['unet']);
  });
});

it('a folder that is no model is refused', async () => {
  const error = await rejection(openModelFolder(memoryFolder({ 'README.md': '' }).folder));
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as Error).message).toContain('model has neither model_index.json nor unet/config.json');
});

it('a config of 1 MB, or one that is no JSON, is refused', async () => {
  const model = await openModelFolder(
    memoryFolder({ 'unet/config.json': ' '.repeat(1_000_001), 'vae/config.json': '\ufeff{}' }).folder,
  );
  expect(await rejection(model.unetConfig())).toBeInstanceOf(ConfigError);
  expect(await rejection(model.vaeConfig())).toMatchObject({
    message: expect.stringContaining('model/vae/config.json: not valid JSON at byte 0'),
  });
});

it('a variant that is a path is refused', async () => {
  const error = await rejection(openModelFolder(memoryFolder(UNET).folder, { variant: '../x' }));
  expect(error).toBeInstanceOf(UsageError);
});

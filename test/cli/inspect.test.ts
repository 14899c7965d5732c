/** soup inspect: what it says of our files and of other programs', and that it reads headers only. */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { createEncoder } from '../../packages/cli/src/batch/encode.ts';
import { readExifTexts } from '../../packages/cli/src/image/exif-texts.ts';
import { encodePng } from '../../packages/cli/src/image/png.ts';
import { formatRecipe, parseRecipe } from '../../packages/core/src/recipe/index.ts';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY, REFERENCE } from '../support/files.ts';
import { type Entry, fileOf } from '../support/safetensors.ts';
import { noise } from './pictures.ts';

const out = scratch();
afterAll(() => out.remove());

const write = (name: string, content: string | Uint8Array): string => {
  writeFileSync(out.in(name), content);
  return out.in(name);
};
const tensor = (name: string, shape: readonly number[]): Entry => {
  const bytes = new Uint8Array(2 * shape.reduce((a, b) => a * b, 1));
  return { name, dtype: 'F16', shape, bytes };
};
const png = (name: string, texts: Record<string, string>) => write(name, encodePng(noise(8, 4, 3), texts));

const said = async (...args: string[]) => {
  const { code, stdout, stderr } = await soup(['inspect', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};
const told = async (...args: string[]) => {
  const { code, stdout } = await soup(['inspect', ...args, '--json']);
  expect(code).toBe(0);
  return JSON.parse(stdout).files;
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
const UNSAFE = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;

describe('models', () => {
  test('a name of the pantry', async () => {
    const text = await said('noto');
    expect(text).toContain(`${join(PANTRY, 'noto')}: a model, as a diffusers folder`);
    expect(text).toMatch(/unet +\d+ tensors +[\d.]+ MiB +F16/);
  });

  test('a whole pipeline, with what it predicts', async () => {
    const [found] = await told(join(REFERENCE, 'sd21-tiny'));
    expect(found).toMatchObject({ kind: 'model', layout: 'diffusers folder', predictionType: 'v' });
    expect(found.parts.map(({ name }: { name: string }) => name)).toEqual([
      ...['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler'].filter((name) =>
        found.parts.some((part: { name: string }) => part.name === name),
      ),
    ]);
    expect(found.total.tensors).toBe(1000);
    expect(found).not.toHaveProperty('tensors');
  });

  test('tensors are listed when they are asked for', async () => {
    const text = await said('noto', '--tensors');
    expect(text).toMatch(/unet {2}conv_in\.weight +F16 +\[64, /);
    const [found] = await told('noto', '--tensors');
    expect(found.tensors).toHaveLength(found.total.tensors);
  });

  test('headers are enough: no tensor is read', async () => {
    copyModel(join(PANTRY, 'noto'), out.in('model'));
    const file = out.in('model/unet/diffusion_pytorch_model.safetensors');
    // The same length, with a hole instead of the numbers: reading them would give zeros, and nobody would notice.
    const { length } = readFileSync(file);
    truncateSync(file, 8 + Number(readFileSync(file).readBigUInt64LE(0)));
    truncateSync(file, length);
    expect(await said(out.in('model'))).toContain('a model, as a diffusers folder');
  });

  test('a single file of another kind is described, with the reason', async () => {
    const path = write('xl.safetensors', fileOf([tensor('conditioner.embedders.0.x', [2, 3])]));
    const text = await said(path);
    expect(text).toContain('weights of another kind');
    expect(text).toContain('Stable Diffusion XL');
  });

  test('a damaged file is an error, and does not stop others', async () => {
    const bad = write('bad.safetensors', 'rubbish');
    const alone = await soup(['inspect', bad]);
    expect([alone.code, alone.stdout]).toEqual([3, '']);
    const both = await soup(['inspect', bad, 'noto', '--json']);
    expect(both.code).toBe(3);
    expect(JSON.parse(both.stdout).files).toMatchObject([
      { path: bad, error: { name: 'CheckpointError' } },
      { kind: 'model' },
    ]);
    expect((await soup(['inspect', out.in('none')])).code).toBe(3);
  });
});

describe('metadata', () => {
  const inner = { type: 'webui', interp_method: 'Weighted sum', multiplier: 0.3 };
  const metadata = {
    format: 'pt',
    'modelspec.sai_model_spec': '1.0.1',
    'modelspec.title': 'My Merge',
    'modelspec.thumbnail': `data:image/png;base64,${'A'.repeat(5000)}`,
    sd_merge_recipe: JSON.stringify({ type: 'sd-webui-supermerger', mode: 'Weight sum', base_alpha: 0.5 }),
    sd_merge_models: JSON.stringify({
      ['ab'.repeat(32)]: { name: 'first.safetensors', legacy_hash: '12345678', sd_merge_recipe: inner },
      ['cd'.repeat(32)]: { name: 'second.safetensors', legacy_hash: null, sd_merge_recipe: JSON.stringify(inner) },
      short: { name: 'left out' },
    }),
    diffusion_soup: JSON.stringify({ type: 'diffusion-soup', ingredients: [{ name: 'noto', weight: '2' }] }),
    prompt: '{"1": {}}',
  };

  test('of all conventions at once', async () => {
    const path = write('merged.safetensors', fileOf([tensor('x', [4])], metadata));
    const [found] = await told(path);
    expect(found.metadata['']).toMatchObject({
      soup: { ingredients: [{ name: 'noto', weight: '2' }] },
      modelSpec: { sai_model_spec: '1.0.1', title: 'My Merge', thumbnail: '(a picture of 5022 characters)' },
      merge: {
        type: 'sd-webui-supermerger',
        models: [
          { hash: 'ab'.repeat(32), name: 'first.safetensors', recipe: inner },
          { hash: 'cd'.repeat(32), name: 'second.safetensors', recipe: inner },
        ],
      },
      other: { format: 'pt' },
    });
    const text = await said(path);
    expect(text).toContain('merged by sd-webui-supermerger');
    expect(text).toContain('model ababababab  first.safetensors, itself merged:');
    expect(text).toContain('interp_method: Weighted sum');
    expect(text).not.toContain('AAAA');
  });

  test.each<[what: string, metadata: Record<string, string>]>([
    ['escapes', { title: '\x1b[2J\x1b]52;c;aGk=\x07red', 'modelspec.title': '\x1b[31m\u202egnp' }],
    ['escapes in keys', { '\x1b[2J': 'x', 'ss_\x1b[31m': 'y', 'modelspec.\x9b31m': 'z' }],
    ['escapes in JSON', { diffusion_soup: '{"a\\u001b[2J": "\\u001b]0;title\\u0007"}' }],
    [
      'JSON that is none',
      { diffusion_soup: '{', sd_merge_recipe: 'null', sd_merge_models: '[]', ss_tag_frequency: '{{{' },
    ],
    [
      'JSON of another form',
      { diffusion_soup: '[1]', sd_merge_recipe: '3', sd_merge_models: '{"x": 1}', lora_adapter_metadata: '7' },
    ],
    [
      'merges of another form',
      { sd_merge_recipe: '{"type": 7}', sd_merge_models: `{"${'0'.repeat(64)}": {"name": {"a": 1}}}` },
    ],
    ['deep JSON', { diffusion_soup: `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}` }],
    ['less deep JSON', { diffusion_soup: `${'{"a":'.repeat(100)}1${'}'.repeat(100)}` }],
    [
      '__proto__',
      { __proto__x: 'x', diffusion_soup: '{"__proto__": {"polluted": true}}', sd_merge_models: '{"__proto__": {}}' },
    ],
    ['long text', { description: 'x'.repeat(1_000_000), 'modelspec.description': 'y\n'.repeat(100_000) }],
    ['many keys', Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, 'v']))],
    [
      'many tags',
      {
        ss_tag_frequency: JSON.stringify({
          set: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`t${i}`, i])),
        }),
      },
    ],
  ])('with %s is shown, short and harmless', async (_, hostile) => {
    const path = write('hostile.safetensors', fileOf([tensor('x', [1])], hostile));
    const text = await said(path);
    expect(text).not.toMatch(UNSAFE);
    expect(text.length).toBeLessThan(50_000);
    expect(text.split('\n').length).toBeLessThan(500);
    await told(path);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('LoRAs', () => {
  const pair = (down: string, up: string) => [tensor(down, [8, 16]), tensor(up, [16, 8])];
  test.each([
    [
      'kohya',
      [
        ...pair(
          'lora_unet_mid_block_attentions_0_proj_in.lora_down.weight',
          'lora_unet_mid_block_attentions_0_proj_in.lora_up.weight',
        ),
        tensor('lora_unet_mid_block_attentions_0_proj_in.alpha', []),
      ],
    ],
    [
      'diffusers',
      pair('unet.mid_block.attentions.0.proj_in.lora_A.weight', 'unet.mid_block.attentions.0.proj_in.lora_B.weight'),
    ],
    [
      'peft',
      pair(
        'base_model.model.mid_block.attentions.0.proj_in.lora_A.weight',
        'base_model.model.mid_block.attentions.0.proj_in.lora_B.weight',
      ),
    ],
  ])('as %s writes them', async (format, entries) => {
    const metadata = { ss_network_dim: '8', ss_tag_frequency: '{"10_cat": {"cat": 12}}' };
    const path = write('lora.safetensors', fileOf(entries, metadata));
    const [found] = await told(path);
    expect(found).toMatchObject({ kind: 'lora', lora: { format, ranks: [8], layers: { unet: 1 }, unsupported: [] } });
    expect(found.metadata[''].training).toEqual({ network_dim: '8', tag_frequency: { '10_cat': { cat: 12 } } });
    expect(await said(path)).toContain(`a LoRA as ${format} writes it`);
  });

  test('its relatives are named', async () => {
    const path = write('loha.safetensors', fileOf([tensor('lora_unet_x.hada_w1_a', [2, 2])]));
    expect((await told(path))[0]).toMatchObject({ kind: 'lora', lora: { unsupported: ['LoHa'] } });
  });
});

describe('pictures', () => {
  const parameters =
    'a cat, sitting\nNegative prompt: dog\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 42, Size: 8x4';
  const graph = {
    3: {
      class_type: 'KSampler',
      inputs: {
        seed: 5,
        steps: 20,
        cfg: 8,
        sampler_name: 'euler',
        scheduler: 'normal',
        positive: ['6', 0],
        negative: ['8', 0],
        model: ['4', 0],
      },
    },
    4: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'v1-5.safetensors' } },
    5: { class_type: 'LoraLoader', inputs: { lora_name: 'ink.safetensors', strength_model: 0.8, model: ['4', 0] } },
    6: { class_type: 'CLIPTextEncode', inputs: { text: 'a red apple', clip: ['4', 1] } },
    7: { class_type: 'CLIPTextEncode', inputs: { text: 'blurry', clip: ['4', 1] } },
    8: { class_type: 'ConditioningCombine', inputs: { a: ['7', 0], b: ['8', 0] } },
  };

  test("A1111's", async () => {
    const [found] = await told(png('a1111.png', { parameters }));
    expect(found).toMatchObject({
      ...{ kind: 'picture', width: 8, height: 4, from: ['A1111'] },
      parameters: { prompt: 'a cat, sitting', negativePrompt: 'dog', settings: { Seed: '42', 'CFG scale': '7' } },
    });
    expect(await said(out.in('a1111.png'))).toContain('negative prompt: dog');
  });

  test("ComfyUI's", async () => {
    const path = png('comfy.png', { prompt: JSON.stringify(graph), workflow: JSON.stringify({ nodes: [1, 2, 3] }) });
    expect((await told(path))[0]).toMatchObject({
      from: ['ComfyUI'],
      comfy: {
        models: ['v1-5.safetensors'],
        loras: [{ name: 'ink.safetensors', strength: 0.8 }],
        positive: ['a red apple'],
        negative: ['blurry'],
        ...{ seed: '5', steps: 20, cfg: 8, sampler: 'euler', scheduler: 'normal' },
      },
      workflow: { nodes: 3 },
    });
  });

  test('ours', async () => {
    const path = png('ours.png', {
      parameters,
      diffusion_soup: JSON.stringify({ type: 'diffusion-soup', ingredients: [{ name: 'noto', weight: 1 }] }),
    });
    const text = await said(path);
    expect(text).toContain('a picture of 8 x 4 pixels, made with Diffusion Soup');
    expect(text).toContain('name: noto');
  });

  test.each(['jpeg', 'webp'] as const)('ours as %s', async (format) => {
    const image = { width: 8, height: 4, pixels: new Uint8Array(128) };
    const soup = JSON.stringify({ ingredients: [{ name: 'n\u00f6to', weight: 1 }] });
    const texts = { parameters: parameters.replace('cat', 'c\u00e4t \u{1f431}'), diffusion_soup: soup };
    const [found] = await told(write(`ours.${format}`, await createEncoder({ format }).encode(image, texts)));
    expect(found).toMatchObject({
      ...{ kind: 'picture', width: 8, height: 4, from: ['Diffusion Soup'], soup: JSON.parse(soup) },
      parameters: { prompt: 'a c\u00e4t \u{1f431}, sitting', settings: { Seed: '42' } },
    });
  });

  /** A TIFF of either byte order, as piexif (A1111, Forge) and others lay it out. */
  const exif = (isBig: boolean, comment: Buffer, make = '') => {
    const bytes = Buffer.alloc(64 + make.length + 1 + comment.length);
    const u16 = (value: number, at: number) =>
      isBig ? bytes.writeUInt16BE(value, at) : bytes.writeUInt16LE(value, at);
    const u32 = (value: number, at: number) =>
      isBig ? bytes.writeUInt32BE(value, at) : bytes.writeUInt32LE(value, at);
    const entry = (at: number, tag: number, type: number, count: number, value: number) => {
      u16(tag, at);
      u16(type, at + 2);
      u32(count, at + 4);
      u32(value, at + 8);
    };
    bytes.write(isBig ? 'MM' : 'II', 'latin1');
    u16(42, 2);
    u32(8, 4);
    u16(2, 8);
    entry(10, 0x010f, 2, make.length + 1, 64);
    entry(22, 0x8769, 4, 1, 40);
    u16(1, 40);
    entry(42, 0x9286, 7, comment.length, 64 + make.length + 1);
    bytes.write(make, 64, 'latin1');
    comment.copy(bytes, 64 + make.length + 1);
    return bytes;
  };
  const unicode = (text: Buffer) => Buffer.concat([Buffer.from('UNICODE\0', 'latin1'), text]);

  test.each([
    ['big-endian', true, unicode(Buffer.from(parameters, 'utf16le').swap16())],
    ['little-endian', false, unicode(Buffer.from(parameters, 'utf16le'))],
    ['little-endian with a big-endian text', false, unicode(Buffer.from(parameters, 'utf16le').swap16())],
    ['little-endian and ASCII', false, Buffer.from(`ASCII\0\0\0${parameters}`, 'latin1')],
  ])("A1111's in EXIF, %s", (_, isBig, comment) => {
    const block = exif(isBig, comment);
    expect(readExifTexts(block)).toEqual({ parameters });
    expect(readExifTexts(Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), block]))).toEqual({ parameters });
    // Cut anywhere, or with any byte changed, it is read or left.
    for (let i = 0; i < 64; i++) {
      expect(() => readExifTexts(block.subarray(0, i))).not.toThrow();
      expect(() => readExifTexts(Buffer.from(block).fill(0xff, i, i + 1))).not.toThrow();
    }
  });

  test("ComfyUI's in EXIF", async () => {
    const block = exif(false, Buffer.alloc(0), `Prompt:${JSON.stringify(graph)}`);
    const webp = await sharp({ create: { width: 8, height: 4, channels: 3, background: 'red' } })
      .webp()
      .toBuffer();
    const extended = Buffer.from([0x08, 0, 0, 0, 7, 0, 0, 3, 0, 0]);
    const chunk = (name: string, data: Buffer) => {
      const head = Buffer.from(`${name}\0\0\0\0`, 'latin1');
      head.writeUInt32LE(data.length, 4);
      return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
    };
    const body = [Buffer.from('WEBP'), chunk('VP8X', extended), webp.subarray(12), chunk('EXIF', block)];
    expect((await told(write('comfy.webp', chunk('RIFF', Buffer.concat(body)))))[0]).toMatchObject({
      from: ['ComfyUI'],
      comfy: { models: ['v1-5.safetensors'], seed: '5' },
    });
  });

  test('of nobody, and hostile ones', async () => {
    expect(await said(png('plain.png', {}))).toContain('which does not say how it was made');
    const path = png('hostile.png', {
      parameters: '\x1b[31mred\nSteps: 1, Sampler: \x1b]52;c;x\x07, Seed: 3, Size: 1x1',
      prompt: JSON.stringify({
        1: { class_type: '\x1b[2J', inputs: { positive: ['1', 0], seed: 1, ckpt_name: '\x9b2J' } },
        2: null,
        3: { class_type: 'X', inputs: [] },
      }),
      workflow: '{"nodes": 3}',
      Comment: '\u202eevil',
    });
    expect(await said(path)).not.toMatch(UNSAFE);
    expect((await soup(['inspect', write('cut.png', readFileSync(path).subarray(0, 60))])).code).toBe(3);
    expect((await soup(['inspect', write('x.jpg', Uint8Array.of(0xff, 0xd8, 0xff, 0, 0))])).stderr).toMatch(
      /x\.jpg cannot be read as a picture/,
    );
    expect((await soup(['inspect', write('x.gif', 'GIF89a')])).stderr).toMatch(/expected PNG, JPEG, WebP or AVIF/);
  });
});

describe('texts', () => {
  test('a recipe', async () => {
    const recipe = parseRecipe(
      '{ingredients: {noto: 2, ink: 1/3}, base: z, method: ties, parameters: {density: 0.3}}',
      { file: 'x' },
    );
    const path = write('soup.yaml', formatRecipe(recipe));
    expect((await told(path))[0]).toMatchObject({
      kind: 'recipe',
      recipe: { method: 'ties', base: 'z', parameters: { density: 0.3 } },
    });
    const text = await said(path);
    expect(text).toContain('a recipe');
    expect(text).toContain('weight: 1/3');
  });

  test('a recipe with mistakes', async () => {
    const { code, stderr } = await soup(['inspect', write('bad.yaml', 'ingredients: [noto]\nmethd: ties')]);
    expect([code, stderr]).toEqual([3, expect.stringContaining('bad.yaml:2:1: "methd" is no key here')]);
  });

  test('the index of a pantry', async () => {
    mkdirSync(out.in('pantry'));
    const added = await soup(['pantry', 'add', join(PANTRY, 'noto'), '--name', 'emoji'], {
      env: { SOUP_PANTRY: out.in('pantry') },
    });
    expect(added.code).toBe(0);
    expect((await told(out.in('pantry/pantry.json')))[0]).toMatchObject({ kind: 'pantry', models: ['emoji'] });
  });
});

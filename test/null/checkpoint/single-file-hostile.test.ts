/** Single files that are damaged, contradictory or of another kind: refused, by the tensor and with the way out. */
import {
  CheckpointError,
  ConfigError,
  IncompatibleError,
  openSingleFile,
  SoupError,
  singleFileLayout,
  type TensorSpec,
} from '@diffusion-soup/core';
import { describe, expect, it } from 'vitest';
import { cpuTime } from '../../support/cpu-time.ts';
import { latin1, rejection, source } from '../../support/safetensors.ts';
import { clipConfig, layoutOf, SMALL1, SMALL2, shapesOf, unetConfig, vaeConfig } from '../../support/sd-models.ts';
import { hollowFile, specsOf } from '../../support/sd-shapes.ts';

const UNET = 'model.diffusion_model.';
const VAE = 'first_stage_model.';
const CLIP = 'cond_stage_model.transformer.text_model.';
const OPEN_CLIP = 'cond_stage_model.model.';

type Change = (tensors: Map<string, readonly number[]>) => void;

const drop =
  (start: string): Change =>
  (tensors) => {
    const found = [...tensors.keys()].filter((name) => name.startsWith(start));
    if (found.length === 0) throw new Error(`no tensor begins with ${start}`);
    for (const name of found) tensors.delete(name);
  };

const put =
  (name: string, ...shape: number[]): Change =>
  (tensors) =>
    void tensors.set(name, shape);

function changed(change: Change, model = SMALL1, metadata: Record<string, string> = {}) {
  const tensors = new Map(layoutOf(model).map(({ name, shape }) => [name, shape]));
  change(tensors);
  const specs = [...tensors].map(([name, shape]): TensorSpec => ({ name, dtype: 'F16', shape }));
  return hollowFile(specs, metadata);
}

/** The refusal's message; it must be one that a user can act on. */
async function refusal(...args: Parameters<typeof changed>): Promise<SoupError> {
  const error = await rejection(openSingleFile(changed(...args)));
  expect(error).toBeInstanceOf(SoupError);
  expect(error).toMatchObject({ message: expect.stringMatching(/^hollow\.safetensors.*\.$/) });
  return error as SoupError;
}

describe('a damaged file is refused by the tensor', () => {
  it.each<[string, Change, string, string]>([
    ['a missing weight', drop(`${UNET}out.2.weight`), `${UNET}out.2.weight`, 'is missing'],
    ['a missing bias', drop(`${VAE}encoder.conv_out.bias`), `${VAE}encoder.conv_out.bias`, 'is missing'],
    ['no first layer', drop(`${UNET}input_blocks.1.`), `${UNET}input_blocks.1.0.in_layers.2.weight`, 'is missing'],
    ['a gap on the way down', drop(`${UNET}input_blocks.2.`), `${UNET}input_blocks.3.0.op.`, 'has no place'],
    ['no coarsest level', drop(`${UNET}input_blocks.6.`), `${UNET}`, ''],
    ['no middle', drop(`${UNET}middle_block.`), `${UNET}middle_block.1.proj_in.weight`, 'is missing'],
    ['a gap on the way up', drop(`${UNET}output_blocks.4.`), `${UNET}output_blocks.4.0.in_layers.0.weight`, ''],
    ['no way up', drop(`${UNET}output_blocks.`), `${UNET}output_blocks.0.0.in_layers.0.weight`, 'is missing'],
    ['attention in one layer of two', drop(`${UNET}input_blocks.2.1.`), `${UNET}input_blocks.2.1.norm.weight`, ''],
    [
      'a level without layers',
      put(`${UNET}input_blocks.1.0.op.weight`, 64, 64, 3, 3),
      'input_blocks.1.0.op.weight',
      '',
    ],
    ['a level of the VAE', drop(`${VAE}encoder.down.1.`), `${VAE}decoder.up.1.block.0.`, 'has no place'],
    ['half of the VAE', drop(`${VAE}encoder.`), `${VAE}encoder.conv_in.weight`, 'is missing'],
    ['a gap in the text encoder', drop(`${CLIP}encoder.layers.1.`), `${CLIP}encoder.layers.2.`, 'has no place'],
    ['its tokens', drop(`${CLIP}embeddings.token_embedding`), `${CLIP}embeddings.position_embedding.weight`, ''],
    ['its positions', drop(`${CLIP}embeddings.position_embedding`), `${CLIP}embeddings.position_embedding.weight`, ''],
    ['an unknown layer', put(`${UNET}input_blocks.1.3.weight`, 1), `${UNET}input_blocks.1.3.weight`, 'has no place'],
    ['an unknown part', put('adapter.weight', 1), 'adapter.weight', 'is none that a Stable Diffusion 1 or 2 model has'],
    ['a name of Object.prototype', put('__proto__', 1), '__proto__', 'is none'],
  ])('%s', async (_, change, tensor, what) => {
    const error = await refusal(change);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.facts.tensor).toContain(tensor);
    expect(error.message).toContain(what);
  });

  it.each<[string, Change, string, string]>([
    [
      'channels that change within a level',
      put(`${UNET}input_blocks.2.0.in_layers.2.weight`, 128, 64, 3, 3),
      'input_blocks.2.0.in_layers.2.weight',
      'gives 128 channels, but its level began with 64',
    ],
    ['a weight of 2 sizes', put(`${UNET}out.2.weight`, 4, 64), 'out.2.weight', 'is [4, 64]; expected 4 sizes above 0'],
    ['a size of 0', put(`${VAE}encoder.conv_in.weight`, 32, 0, 3, 3), 'encoder.conv_in.weight', 'is [32, 0, 3, 3]'],
    [
      'attention of 3x3 in the VAE',
      put(`${VAE}decoder.mid.attn_1.q.weight`, 64, 64, 3, 3),
      'decoder.mid.attn_1.q.weight',
      'expected [C, C], [C, C, 1] or [C, C, 1, 1]',
    ],
    ['attention of one size', put(`${VAE}decoder.mid.attn_1.k.weight`, 64), 'decoder.mid.attn_1.k.weight', 'is [64]'],
  ])('%s', async (_, change, tensor, what) => {
    const error = await refusal(change);
    expect(error.facts.tensor).toContain(tensor);
    expect(error.message).toContain(what);
  });

  it.each([
    ['rows that are no thirds', [191, 64]],
    ['no rows at all', []],
  ])('q, k and v with %s', async (_, shape) => {
    const name = `${OPEN_CLIP}transformer.resblocks.0.attn.in_proj_weight`;
    const error = await refusal(put(name, ...shape), SMALL2);
    expect(error.facts.tensor).toBe(name);
    expect(error.message).toContain('expected q, k and v with as many rows each');
  });

  it.each<[string, Change]>([
    ['the old and the new names', put('cond_stage_model.transformer.embeddings.token_embedding.weight', 100, 64)],
    ["both versions' text encoders", put(`${OPEN_CLIP}token_embedding.weight`, 100, 64)],
  ])('%s', async (_, change) => {
    expect((await refusal(change)).message).toContain('is the second text encoder of the file');
  });

  it('old names here and new names there', async () => {
    const old = 'cond_stage_model.transformer.encoder.layers.0.mlp.fc1.weight';
    expect((await refusal(put(old, 1))).facts.tensor).toBe(old);
  });
});

describe('sizes that this engine does not run', () => {
  it.each<[string, Change, string]>([
    ['too many channels', put(`${UNET}out.2.weight`, 2 ** 20, 64, 3, 3), 'takes 4 channels where the model puts out'],
    ['huge convolutions', put(`${UNET}out.2.weight`, 4, 64, 2 ** 20, 3), '"conv_out_kernel" is 1048576'],
    ['a vast vocabulary', put(`${CLIP}embeddings.token_embedding.weight`, 2 ** 24, 64), '"vocab_size" is 16777216'],
  ])('%s', async (_, change, what) => {
    expect((await refusal(change)).message).toContain(what);
  });

  it('that the tensors do not tell need a config, which is named', async () => {
    const odd = { ...SMALL2, unet: { ...SMALL2.unet, channels: [96, 128, 128] } };
    const heads = unetConfig(odd.unet, { attention_head_dim: 4 });
    const shapes = shapesOf(odd);
    const tensors = singleFileLayout({ unet: { config: heads, tensors: specsOf(shapes.unet) } });
    expect(await rejection(openSingleFile(hollowFile(tensors)))).toMatchObject({
      name: 'CheckpointError',
      message: expect.stringMatching(/heads have 64 channels; but level 0 has 96\. Name a diffusers folder/),
    });
  });

  it('say that they were inferred', async () => {
    const narrow = { ...SMALL1, vae: { channels: [16, 64], layers: 1, latents: 4 } };
    const config = vaeConfig(narrow.vae, { norm_num_groups: 8 });
    const tensors = singleFileLayout({ vae: { config, tensors: specsOf(shapesOf(narrow).vae) } });
    const error = await rejection(openSingleFile(hollowFile(tensors)));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/vae, as its tensors have it: .* is 16; .* 32\. Name a diffusers folder/),
    });
  });
});

describe('configs in the metadata', () => {
  it.each([
    ['no JSON', '{', 'not valid JSON'],
    ['a list', '[]', 'expected a JSON object with a config for each part'],
    ['null', 'null', 'expected a JSON object'],
    ['a config that is none', '{"unet":7}', 'holds 7'],
    ['a config of another model', '{"unet":{"layers_per_block":1}}', 'is missing, which the config (given'],
    ['levels without end', '{"unet":{"layers_per_block":1e9}}', '"layers_per_block" is 1000000000'],
    ['no middle', '{"unet":{"mid_block_type":null}}', 'A single file has no place for a UNet without'],
  ])('that are %s', async (_, json, what) => {
    const error = await rejection(openSingleFile(changed(() => {}, SMALL1, { diffusion_soup_configs: json })));
    expect(error).toBeInstanceOf(SoupError);
    expect((error as SoupError).message).toContain(what);
  });
});

describe('other kinds of models', () => {
  it.each<[string, Change, string]>([
    ['SDXL', put('conditioner.embedders.0.transformer.text_model.final_layer_norm.bias', 1), 'Stable Diffusion XL'],
    ["SDXL's UNet", put(`${UNET}label_emb.0.0.weight`, 1), 'Stable Diffusion XL, unCLIP or an upscaler'],
    ['SD3', put(`${UNET}joint_blocks.0.context_block.attn.proj.bias`, 1), 'Stable Diffusion 3'],
    ['Flux', put('double_blocks.0.img_attn.qkv.weight', 1), 'Flux'],
    ['ControlNet', put('control_model.time_embed.0.weight', 1), 'a ControlNet'],
    ['LoRA', put('lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight', 1), 'a LoRA. Give it as a LoRA'],
    ['LoRA of peft', put('unet.mid_block.attentions.0.proj_in.lora_A.weight', 1), 'a LoRA'],
    ['textual inversion', put('emb_params', 1, 768), 'a textual inversion'],
    ['a UNet', put('down_blocks.0.resnets.0.conv1.weight', 1), "a UNet alone, in diffusers' names. Put it into"],
    ['a VAE', put('decoder.up.0.block.0.conv1.weight', 1), 'a VAE alone'],
    ['a VAE in diffusers', put('decoder.up_blocks.0.resnets.0.conv1.weight', 1), "a VAE alone, in diffusers' names"],
    ['a text encoder', put('text_model.final_layer_norm.bias', 1), "a text encoder alone, in transformers' names"],
    ['inpainting', put(`${UNET}input_blocks.0.0.weight`, 64, 9, 3, 3), 'takes 9 channels where the model puts out 4'],
    ['inpainting', put(`${UNET}input_blocks.0.0.weight`, 64, 9, 3, 3), 'this is an inpainting model'],
    ['depth', put(`${UNET}input_blocks.0.0.weight`, 64, 5, 3, 3), 'this is a depth model'],
    ['InstructPix2Pix', put(`${UNET}input_blocks.0.0.weight`, 64, 8, 3, 3), 'this is InstructPix2Pix'],
    ['another', put(`${UNET}input_blocks.0.0.weight`, 64, 3, 3, 3), 'this is no text-to-image model'],
  ])('%s', async (_, change, what) => {
    expect((await refusal(change)).message).toContain(what);
  });

  it('no model at all', async () => {
    for (const specs of [[], [{ name: 'betas', dtype: 'F32', shape: [1000] }] satisfies TensorSpec[]]) {
      expect(await rejection(openSingleFile(hollowFile(specs)))).toMatchObject({
        message: expect.stringContaining('has no tensor of a model; expected names that begin with'),
      });
    }
  });
});

describe('names', () => {
  it('cannot reach the terminal', async () => {
    const error = await refusal(put('\u001b[31mred\u202e', 1));
    expect(error.message).not.toMatch(/\p{Cc}|\p{Cf}/u);
    expect(error.message).toContain('\\u{1b}[31mred');
  });

  it.each([
    ['of no part', (i: number) => `junk.${i}`],
    ['of the UNet', (i: number) => `${UNET}input_blocks.${i + 1000}.0.in_layers.2.weight`],
    ['of endless layers', (i: number) => `${UNET}input_blocks.${i + 9}.0.in_layers.2.weight`],
    ['of endless levels', (i: number) => `${UNET}input_blocks.${i + 8}.0.op.weight`],
    ['of endless transformers', (i: number) => `${UNET}middle_block.1.transformer_blocks.${i}.norm1.weight`],
    ['of endless text', (i: number) => `${CLIP}encoder.layers.${i}.layer_norm1.weight`],
  ])('100,000 %s are refused in 3 s', async (_, name) => {
    const junk: Change = (tensors) => {
      for (let i = 0; i < 1e5; i++) if (!tensors.has(name(i))) tensors.set(name(i), [128, 128, 1, 1]);
    };
    const file = changed(junk);
    const start = cpuTime();
    expect(await rejection(openSingleFile(file))).toBeInstanceOf(SoupError);
    expect(cpuTime() - start).toBeLessThan(3000);
  });

  it('100,000 of an averaged copy are left out', async () => {
    const junk: Change = (tensors) => {
      for (let i = 0; i < 1e5; i++) tensors.set(`model_ema.${i}`, [1]);
    };
    expect((await openSingleFile(changed(junk))).ignored.length).toBe(1e5);
  });
});

describe('pickles, by whatever name', () => {
  const tar = (name: string) =>
    latin1(`${name}`.padEnd(257, '\0') + 'ustar\x0000'.padEnd(255, '\0') + '\0'.repeat(512));
  it.each([
    [
      'a zip archive',
      latin1(`PK\x03\x04\0\0\x08\x08\0\0${'\0'.repeat(600)}`),
      'a zip archive, such as a PyTorch .ckpt',
    ],
    ['a zip archive of version 0', latin1(`PK\x03\x04\0\0\0\0\0\0${'\0'.repeat(600)}`), 'a zip archive'],
    ['a pickle', latin1(`\x80\x02}q\0(X\x0a${'\0'.repeat(600)}`), 'a Python pickle'],
    ["PyTorch's magic number", latin1(`\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M`), 'a Python pickle'],
    ['a tar archive', tar('sys_info'), 'a tar archive, such as an early PyTorch .ckpt'],
    ['a tar archive whose name is a fair length', tar('st'), 'a tar archive'],
  ])('%s', async (_, bytes, what) => {
    for (const name of ['model.safetensors', 'model.ckpt']) {
      const error = await rejection(openSingleFile(source(bytes, name)));
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error).toMatchObject({
        message: expect.stringMatching(new RegExp(`^${name}: this is ${what}.*convert it to safetensors first`)),
      });
    }
  });
});

describe('a model that cannot be written as a single file', () => {
  const text = () => specsOf(shapesOf(SMALL2).text_encoder);
  const config = clipConfig(SMALL2.clip, 'gelu');
  const Q = 'text_model.encoder.layers.0.self_attn.q_proj.weight';
  const K = 'text_model.encoder.layers.0.self_attn.k_proj.weight';

  it.each<[string, (tensors: Map<string, TensorSpec>) => void, string, string]>([
    ['lacks a tensor', (tensors) => tensors.delete(Q), Q, 'is missing, which its config asks for'],
    ['has one more', (tensors) => tensors.set('more', { ...tensors.get(Q)!, name: 'more' }), 'more', 'has no place'],
    [
      'has q and k of two types',
      (tensors) => tensors.set(K, { ...tensors.get(K)!, dtype: 'F32' }),
      K,
      'is F32 [64, 64]',
    ],
    ['has q and k of two sizes', (tensors) => tensors.set(K, { ...tensors.get(K)!, shape: [32, 64] }), K, '[32, 64]'],
  ])('%s', (_, change, tensor, what) => {
    const tensors = text();
    change(tensors);
    let error: unknown;
    try {
      singleFileLayout({ text_encoder: { config, tensors } });
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(IncompatibleError);
    expect(error).toMatchObject({ facts: { tensor }, message: expect.stringContaining(what) });
  });

  it('but position_ids, names without text_model and old names of attention are fine', () => {
    const short = new Map([...text()].map(([name, spec]) => [name.replace('text_model.', ''), spec]));
    short.set('embeddings.position_ids', { name: 'embeddings.position_ids', dtype: 'I64', shape: [1, 16] });
    const vae = new Map(
      [...specsOf(shapesOf(SMALL1).vae)].map(([name, spec]) => [
        name.replace('to_q', 'query').replace('to_k', 'key').replace('to_v', 'value').replace('to_out.0', 'proj_attn'),
        spec,
      ]),
    );
    const layout = singleFileLayout({
      vae: { config: vaeConfig(SMALL1.vae), tensors: vae },
      text_encoder: { config, tensors: short },
    });
    const names = layoutOf({ ...SMALL2, vae: SMALL1.vae }).map(({ name }) => name);
    expect(layout.map(({ name }) => name)).toEqual(names.filter((name) => !name.startsWith(UNET)));
    expect(layout.flatMap(({ parts }) => parts).some(({ key }) => key.endsWith('.query.bias'))).toBe(true);
  });
});

/** Names of LoRA tensors in every format, and the weights that they mean. */
import { describe, expect, test } from 'vitest';
import { parseUNetConfig } from '../../../packages/core/src/checkpoint/configs.ts';
import { unetKeys } from '../../../packages/core/src/checkpoint/single-file/key-map.ts';
import type { Weights } from '../../../packages/core/src/checkpoint/weights.ts';
import { parseLoraName } from '../../../packages/core/src/lora/format.ts';
import { matchLora, readLora } from '../../../packages/core/src/lora/index.ts';
import { originalPath, targetsOf } from '../../../packages/core/src/lora/targets.ts';
import { entry, fileOf, scalar } from '../../support/lora.ts';
import { rejection } from '../../support/safetensors.ts';

const ATTENTION = 'transformer_blocks.0.attn1';

/** Some weights of a UNet with two layers on four levels, of which the coarsest has no attention. */
const unet = (): Promise<Weights> =>
  fileOf('unet', {
    ...Object.fromEntries(
      [
        ...['conv_in', 'conv_out', 'time_embedding.linear_1', 'mid_block.attentions.0.proj_in'],
        ...[0, 1, 2, 3].flatMap((i) => [0, 1].map((j) => `down_blocks.${i}.resnets.${j}.conv1`)),
        ...[0, 1, 2, 3].flatMap((i) => [0, 1, 2].map((j) => `up_blocks.${i}.resnets.${j}.conv2`)),
        ...[0, 1, 2].map((i) => `up_blocks.${i}.upsamplers.0.conv`),
        ...[`down_blocks.1.attentions.0.${ATTENTION}.to_q`, `down_blocks.1.attentions.0.${ATTENTION}.to_out.0`],
        ...['down_blocks.0.downsamplers.0.conv', 'mid_block.resnets.1.time_emb_proj'],
        ...[1, 2, 3].map((i) => `up_blocks.${i}.attentions.2.proj_in`),
      ].map((path) => [`${path}.weight`, entry([2, 2], 1)]),
    ),
    'conv_in.bias': entry([2], 1),
  });

const encoder = (): Promise<Weights> =>
  fileOf('text_encoder', {
    'text_model.encoder.layers.0.self_attn.q_proj.weight': entry([2, 2], 1),
    'text_model.encoder.layers.0.self_attn.out_proj.weight': entry([2, 2], 1),
    'text_model.encoder.layers.0.mlp.fc1.weight': entry([2, 2], 1),
  });

describe('names', () => {
  const q = `down_blocks.1.attentions.0.${ATTENTION}.to_q.weight`;
  const out = `down_blocks.1.attentions.0.${ATTENTION}.to_out.0.weight`;
  const text = 'text_model.encoder.layers.0.self_attn.q_proj.weight';
  test.each<[string, string, string]>([
    ['kohya', 'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight', q],
    ['kohya, to_out', 'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0.lora_up.weight', out],
    ['original blocks', 'lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight', q],
    ['original resnet', 'lora_unet_input_blocks_11_0_in_layers_2.alpha', 'down_blocks.3.resnets.1.conv1.weight'],
    ['original middle', 'lora_unet_middle_block_1_proj_in.lora_mid.weight', 'mid_block.attentions.0.proj_in.weight'],
    ['original time', 'lora_unet_middle_block_2_emb_layers_1.alpha', 'mid_block.resnets.1.time_emb_proj.weight'],
    ['original up', 'lora_unet_output_blocks_11_0_out_layers_3.alpha', 'up_blocks.3.resnets.2.conv2.weight'],
    ['upsampler', 'lora_unet_output_blocks_2_1_conv.lora_up.weight', 'up_blocks.0.upsamplers.0.conv.weight'],
    ['upsampler behind attention', 'lora_unet_output_blocks_5_2_conv.alpha', 'up_blocks.1.upsamplers.0.conv.weight'],
    ['downsampler', 'lora_unet_input_blocks_3_0_op.lora_up.weight', 'down_blocks.0.downsamplers.0.conv.weight'],
    ['first', 'lora_unet_input_blocks_0_0.lora_up.weight', 'conv_in.weight'],
    ['last', 'lora_unet_out_2.lora_up.weight', 'conv_out.weight'],
    ['diffusers', `unet.down_blocks.1.attentions.0.${ATTENTION}.to_q.lora.down.weight`, q],
    ['diffusers with peft', `unet.down_blocks.1.attentions.0.${ATTENTION}.to_out.0.lora_B.weight`, out],
    ['old diffusers', `unet.down_blocks.1.attentions.0.${ATTENTION}.processor.to_q_lora.down.weight`, q],
    ['old, without prefix', `down_blocks.1.attentions.0.${ATTENTION}.processor.to_out_lora.up.weight`, out],
    ['peft', `base_model.model.down_blocks.1.attentions.0.${ATTENTION}.to_q.lora_A.weight`, q],
    ['peft adapter', `base_model.model.down_blocks.1.attentions.0.${ATTENTION}.to_q.lora_A.default.weight`, q],
    ['kohya text', 'lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight', text],
    ['kohya text 1', 'lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight', text],
    ['diffusers text', 'text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight', text],
    ['old text', 'text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight', text],
    [
      'old text out',
      'text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.up.weight',
      text.replace('q_', 'out_'),
    ],
    [
      'peft text',
      'base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight',
      text.replace('self_attn.q_proj', 'mlp.fc1'),
    ],
    ['new transformers', 'text_encoder.encoder.layers.0.self_attn.q_proj.lora_A.weight', text],
  ])('%s', async (_, name, key) => {
    const parsed = parseLoraName(name)!;
    const weights = parsed.component === 'unet' ? await unet() : await encoder();
    expect(targetsOf(parsed.component, weights).get(parsed.place)?.name).toBe(key);
  });

  test('of no LoRA are none', () => {
    for (const name of ['conv_in.weight', 'lora_unet_x.weight', 'first_stage_model.x.lora_up.weight', 'alpha']) {
      expect(parseLoraName(name)).toBeUndefined();
    }
  });

  test('the original names are those of single files', () => {
    for (const layers of [1, 2]) {
      const config = parseUNetConfig({ cross_attention_dim: 768, layers_per_block: layers });
      const layout = { layersPerBlock: config.layersPerBlock, hasAttention: [false, true, true, true] };
      let count = 0;
      for (const { ldm, diffusers } of unetKeys(config)) {
        if (!/(?<!norm\d?|norm_out)\.weight$/.test(diffusers)) continue;
        const path = diffusers.replace(/\.weight$/, '');
        expect(originalPath(path, layout), diffusers).toBe(ldm.replace(/\.weight$/, ''));
        count++;
      }
      expect(count).toBeGreaterThan(100);
    }
  });

  test('a layer is in one original block only', async () => {
    const paths = [...(await unet()).tensors.keys()].map((key) => key.replace(/\.(weight|bias)$/, ''));
    const layout = { layersPerBlock: [2, 2, 2, 2], hasAttention: [false, true, true, true] };
    const originals = [...new Set(paths)].map((path) => originalPath(path, layout));
    expect(new Set(originals).size).toBe(originals.length);
  });
});

describe('files', () => {
  const PLACE = 'lora_unet_mid_block_attentions_0_proj_in';
  const pair = { [`${PLACE}.lora_up.weight`]: entry([2, 1], 1), [`${PLACE}.lora_down.weight`]: entry([1, 2], 1) };

  test('are read with their ranks and scales', async () => {
    const lora = await readLora(await fileOf('a', { ...pair, [`${PLACE}.alpha`]: scalar(0.5) }));
    expect(lora.modules).toMatchObject([{ component: 'unet', rank: 1, alpha: 0.5 }]);
    expect([...matchLora(lora, 'unet', await unet()).keys()]).toEqual(['mid_block.attentions.0.proj_in.weight']);
    expect(matchLora(lora, 'text_encoder', await encoder()).size).toBe(0);
    expect((await readLora(await fileOf('a', pair))).modules[0]?.alpha).toBe(1);
  });

  test("peft's scale is in the metadata", async () => {
    const name = 'unet.mid_block.attentions.0.proj_in';
    const file = { [`${name}.lora_B.weight`]: entry([2, 4], 1), [`${name}.lora_A.weight`]: entry([4, 2], 1) };
    const alphaWith = async (config: object) =>
      (await readLora(await fileOf('a', file, { lora_adapter_metadata: JSON.stringify(config) }))).modules[0]?.alpha;
    expect(await alphaWith({ 'unet.lora_alpha': 8, 'unet.alpha_pattern': {} })).toBe(8);
    expect(await alphaWith({ 'unet.lora_alpha': 8, 'unet.use_rslora': true })).toBe(16);
    expect(await alphaWith({ 'text_encoder.lora_alpha': 8 })).toBe(4);
    await expect(alphaWith({ 'unet.use_dora': true })).rejects.toThrow(/unet\.use_dora is not supported/);
    await expect(alphaWith({ 'unet.alpha_pattern': { a: 1 } })).rejects.toThrow(/unet\.alpha_pattern/);
    await expect(fileOf('a', file, { lora_adapter_metadata: '{' }).then(readLora)).rejects.toThrow(/no JSON object/);
  });

  test.each<[string, string, RegExp]>([
    ['LoHa', `${PLACE}.hada_w1_a`, /hada_w1_a": this is of LoHa, which is not supported/],
    ['LoKr', `${PLACE}.lokr_w1`, /this is of LoKr/],
    ['DoRA', `${PLACE}.dora_scale`, /this is of DoRA/],
    ['DoRA of peft', 'unet.mid_block.attentions.0.proj_in.lora_magnitude_vector', /this is of DoRA/],
    ['a difference', `${PLACE}.diff`, /this is of a full difference/],
    ['SDXL', 'lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight', /second text encoder, as SDXL has/],
    ['a model', 'conv_in.weight', /"conv_in.weight": this is no name of a LoRA in the formats of kohya/],
    ['hostile', '\u001b[31m.weight', /\\u\{1b\}\[31m.weight/],
  ])('%s is refused by name', async (_, name, message) => {
    const error = await rejection(fileOf('a', { ...pair, [name]: entry([2, 2], 1) }).then(readLora));
    expect((error as Error).message).toMatch(message);
  });

  test.each<[string, Record<string, ReturnType<typeof entry>>, RegExp]>([
    ['half a pair', { [`${PLACE}.lora_up.weight`]: entry([2, 1], 1) }, /the layer has no matrix for "down"/],
    ['only alpha', { [`${PLACE}.alpha`]: scalar(1) }, /has no matrix for "down"/],
    [
      'other ranks',
      { ...pair, [`${PLACE}.lora_down.weight`]: entry([2, 2], 1) },
      /ranks .* differ: \[2, 1\] · \[2, 2\]/,
    ],
    ['alpha of 0', { ...pair, [`${PLACE}.alpha`]: scalar(0) }, /alpha": it is 0; expected one number other than 0/],
    ['two alphas', { ...pair, [`${PLACE}.alpha`]: entry([2], 1) }, /it is 2 numbers/],
    [
      'a vector',
      { ...pair, [`${PLACE}.lora_up.weight`]: entry([2], 1) },
      /F32 \[2\]; expected floating point in 2 or 4/,
    ],
    [
      'two names of one layer',
      { ...pair, 'unet.mid_block.attentions.0.proj_in.lora.up.weight': entry([2, 1], 1) },
      /two tensors for "up"/,
    ],
    ['nothing', {}, /has no tensors/],
  ])('%s is refused', async (_, entries, message) => {
    await expect(fileOf('a', entries).then(readLora)).rejects.toThrow(message);
  });

  test('layers that the model does not have are named', async () => {
    const stranger = 'lora_unet_input_blocks_30_1_proj_in';
    const others = Object.fromEntries(
      ['up', 'down'].map((way) => [`${stranger}.lora_${way}.weight`, entry(way === 'up' ? [2, 1] : [1, 2], 1)]),
    );
    const lora = await readLora(await fileOf('a', { ...pair, ...others }));
    const model = await unet();
    expect(() => matchLora(lora, 'unet', model)).toThrow(
      /a changes a layer that unet has not: "lora_unet_input_blocks_30_1_proj_in.lora_down.weight"/,
    );
  });

  test('layers of another shape are named', async () => {
    const wide = { ...pair, [`${PLACE}.lora_down.weight`]: entry([1, 3], 1) };
    const lora = await readLora(await fileOf('a', wide));
    const model = await unet();
    expect(() => matchLora(lora, 'unet', model)).toThrow(
      /changes mid_block.attentions.0.proj_in.weight, \[2, 2\], by \[2, 1\] · \[1, 3\]/,
    );
  });

  test('a layer under two names is refused', async () => {
    const other = Object.fromEntries(
      Object.entries(pair).map(([key, e]) => [key.replace('mid_block_attentions_0', 'middle_block_1'), e]),
    );
    const lora = await readLora(await fileOf('a', { ...pair, ...other }));
    const model = await unet();
    expect(() => matchLora(lora, 'unet', model)).toThrow(/changes mid_block.attentions.0.proj_in.weight twice/);
  });
});

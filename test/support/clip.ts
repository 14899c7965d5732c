/** A tiny CLIPModel of random weights, and what it should compute: slow loops in doubles, by transformers' names. */
import { encodeSafetensorsHeader } from '../../packages/core/src/checkpoint/safetensors-writer.ts';
import { random } from './gpu.ts';
import { activation, attention, conv2d, layerNorm, matmul } from './reference.ts';

type Table = Record<string, Float32Array>;

const TEXT = { hidden_size: 10, intermediate_size: 22, num_hidden_layers: 2, num_attention_heads: 2 };
const VISION = { hidden_size: 12, intermediate_size: 25, num_hidden_layers: 2, num_attention_heads: 3 };
export const SIDE = 11; // three patches of 3, and two pixels that no patch sees
const PATCH = 3;
const PROJECTION = 7;
export const CLIP_CONFIG = {
  model_type: 'clip',
  projection_dim: PROJECTION,
  logit_scale_init_value: 2.6592,
  text_config: {
    ...{ ...TEXT, model_type: 'clip_text_model', vocab_size: 40, max_position_embeddings: 9, hidden_act: 'quick_gelu' },
    ...{ bos_token_id: 0, eos_token_id: 39, pad_token_id: 1, layer_norm_eps: 1e-5 },
  },
  vision_config: {
    ...{ ...VISION, model_type: 'clip_vision_model', image_size: SIDE, patch_size: PATCH, hidden_act: 'gelu' },
    layer_norm_eps: 1e-6,
  },
};

/** Name -> numbers and shape of every tensor, with the leftovers of old files. */
export function clipTensors(): { table: Table; shapes: Record<string, number[]> } {
  const shapes: Record<string, number[]> = {};
  const layer = (at: string, { hidden_size: c, intermediate_size: inner }: typeof TEXT) => {
    for (const name of ['q', 'k', 'v', 'out']) linear(`${at}.self_attn.${name}_proj`, c, c);
    linear(`${at}.mlp.fc1`, inner, c);
    linear(`${at}.mlp.fc2`, c, inner);
    norm(`${at}.layer_norm1`, c);
    norm(`${at}.layer_norm2`, c);
  };
  const norm = (at: string, c: number) => Object.assign(shapes, { [`${at}.weight`]: [c], [`${at}.bias`]: [c] });
  const linear = (at: string, rows: number, c: number) =>
    Object.assign(shapes, { [`${at}.weight`]: [rows, c], [`${at}.bias`]: [rows] });
  shapes['text_model.embeddings.token_embedding.weight'] = [40, TEXT.hidden_size];
  shapes['text_model.embeddings.position_embedding.weight'] = [9, TEXT.hidden_size];
  for (let i = 0; i < TEXT.num_hidden_layers; i++) layer(`text_model.encoder.layers.${i}`, TEXT);
  norm('text_model.final_layer_norm', TEXT.hidden_size);
  shapes['vision_model.embeddings.class_embedding'] = [VISION.hidden_size];
  shapes['vision_model.embeddings.patch_embedding.weight'] = [VISION.hidden_size, 3, PATCH, PATCH];
  shapes['vision_model.embeddings.position_embedding.weight'] = [10, VISION.hidden_size];
  norm('vision_model.pre_layrnorm', VISION.hidden_size);
  for (let i = 0; i < VISION.num_hidden_layers; i++) layer(`vision_model.encoder.layers.${i}`, VISION);
  norm('vision_model.post_layernorm', VISION.hidden_size);
  shapes['visual_projection.weight'] = [PROJECTION, VISION.hidden_size];
  shapes['text_projection.weight'] = [PROJECTION, TEXT.hidden_size];
  shapes.logit_scale = [];
  const table = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const scale = /norm.*weight$/.test(name) ? 1 : 0.5;
      return [name, random(shape, i + 1).data.map((x) => (scale === 1 ? 1 + 0.3 * x : x * scale))];
    }),
  );
  return { table, shapes };
}

export function clipFile({ table, shapes }: ReturnType<typeof clipTensors>, keep = (_: string) => true): Uint8Array {
  const names = Object.keys(table).filter(keep);
  const encoded = encodeSafetensorsHeader(names.map((name) => ({ name, dtype: 'F32', shape: shapes[name]! })));
  const file = new Uint8Array(encoded.size);
  file.set(encoded.header);
  for (const name of names) file.set(new Uint8Array(table[name]!.buffer), encoded.offsets.get(name)!);
  return file;
}

function encoder(w: Table, at: string, tower: typeof TEXT, x: number[], tokens: number, causal: boolean, eps: number) {
  const { hidden_size: c, intermediate_size: inner, num_attention_heads: heads } = tower;
  const act = activation[causal ? 'quick_gelu' : 'gelu'];
  const states = [x];
  for (let i = 0; i < tower.num_hidden_layers; i++) {
    const l = `${at}.encoder.layers.${i}`;
    const apply = (h: ArrayLike<number>, name: string, rows: number, columns: number) =>
      matmul(h, w[`${l}.${name}.weight`]!, tokens, rows, columns, w[`${l}.${name}.bias`]);
    const norm = (h: number[], name: string) =>
      layerNorm(h, w[`${l}.${name}.weight`]!, w[`${l}.${name}.bias`]!, tokens, c, eps);
    const h = states.at(-1)!;
    const y = norm(h, 'layer_norm1');
    const [q, k, v] = ['q', 'k', 'v'].map((name) => apply(y, `self_attn.${name}_proj`, c, c));
    const seen = attention(q!, k!, v!, { images: 1, queries: tokens, keys: tokens, channels: c, heads, causal });
    const attended = apply(seen, 'self_attn.out_proj', c, c).map((value, j) => value + h[j]!);
    const hidden = apply(norm(attended, 'layer_norm2'), 'mlp.fc1', inner, c).map(act);
    states.push(apply(hidden, 'mlp.fc2', c, inner).map((value, j) => value + attended[j]!));
  }
  return states;
}

/** One picture (H, W, 3) -> every hidden state and the embedding. */
export function clipVisionReference(w: Table, pixels: ArrayLike<number>) {
  const c = VISION.hidden_size;
  const at = 'vision_model';
  const patches = conv2d(pixels, w[`${at}.embeddings.patch_embedding.weight`]!, new Float32Array(c), {
    ...{ images: 1, height: SIDE, width: SIDE, channels: 3, outChannels: c },
    ...{ kernel: PATCH, stride: PATCH, padding: [0, 0, 0, 0] },
  });
  const positions = w[`${at}.embeddings.position_embedding.weight`]!;
  const embedded = [...w[`${at}.embeddings.class_embedding`]!, ...patches].map((x, i) => x + positions[i]!);
  const norm = (x: number[], name: string, rows: number) =>
    layerNorm(x, w[`${at}.${name}.weight`]!, w[`${at}.${name}.bias`]!, rows, c, 1e-6);
  const states = encoder(w, at, VISION, norm(embedded, 'pre_layrnorm', 10), 10, false, 1e-6);
  const pooled = norm(states.at(-1)!.slice(0, c), 'post_layernorm', 1);
  return { states, pooled, embeds: matmul(pooled, w['visual_projection.weight']!, 1, PROJECTION, c) };
}

export function clipTextReference(w: Table, ids: readonly number[]) {
  const c = TEXT.hidden_size;
  const at = 'text_model';
  const positions = w[`${at}.embeddings.position_embedding.weight`]!;
  const table = w[`${at}.embeddings.token_embedding.weight`]!;
  const embedded = ids.flatMap((id, t) =>
    Array.from({ length: c }, (_, j) => table[id * c + j]! + positions[t * c + j]!),
  );
  const states = encoder(w, at, TEXT, embedded, ids.length, true, 1e-5);
  const [gamma, beta] = [w[`${at}.final_layer_norm.weight`]!, w[`${at}.final_layer_norm.bias`]!];
  const last = layerNorm(states.at(-1)!, gamma, beta, ids.length, c, 1e-5);
  const end = ids.indexOf(39) * c;
  return { states, embeds: matmul(last.slice(end, end + c), w['text_projection.weight']!, 1, PROJECTION, c) };
}

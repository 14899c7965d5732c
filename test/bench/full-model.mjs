/** Whole models of Stable Diffusion 2.1's size with random weights, as folders that no disk holds. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  encodeSafetensorsHeader,
  openModelFolder,
  parseClipTextConfig,
  parseUNetConfig,
  parseVaeConfig,
} from '../../packages/core/dist/index.js';
import { clipText } from '../../packages/core/dist/model/clip.js';
import { unet } from '../../packages/core/dist/model/unet.js';
import { vaeDecoder, vaeEncoder } from '../../packages/core/dist/model/vae.js';
import { namesOf, UNET_CONFIG, VAE_CONFIG } from './sd21.mjs';

const PANTRY = process.env.SOUP_PANTRY ?? fileURLToPath(new URL('../../pantry', import.meta.url));
const pantryFile = (/** @type {string} */ path) => readFileSync(`${PANTRY}/base/${path}`);
const pantryJson = (/** @type {string} */ path) => JSON.parse(pantryFile(path).toString());

/** stable-diffusion-2-1/text_encoder/config.json, with the words that the pantry's tokenizer knows. */
const textEncoderConfig = () => ({
  ...pantryJson('text_encoder/config.json'),
  ...{ hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 23, num_attention_heads: 16 },
  ...{ projection_dim: 512, max_position_embeddings: 77 },
});

/** Halves of the size that weights have, both signs, the same for every tensor: made as they are read. */
export function randomSource(/** @type {Uint8Array} */ header, /** @type {number} */ size, seed = 1) {
  const pattern = new Uint16Array(1 << 20);
  let state = seed;
  for (let i = 0; i < pattern.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // 2^-8 to 2^-5
    pattern[i] = ((state >>> 16) & 0x83ff) | (0x1c00 + ((state >>> 8) % 3) * 0x400);
  }
  const bytes = new Uint8Array(pattern.buffer);
  return {
    name: `random weights ${seed}`,
    size,
    async readInto(/** @type {Uint8Array} */ target, /** @type {number} */ offset) {
      for (let at = 0; at < target.length; ) {
        const from = offset + at;
        const all =
          from < header.length ? header.subarray(from) : bytes.subarray((from - header.length) % bytes.length);
        const part = all.subarray(0, target.length - at);
        target.set(part, at);
        at += part.length;
      }
    },
  };
}

function sourceOf(/** @type {Uint8Array} */ bytes, /** @type {string} */ name) {
  return {
    ...{ name, size: bytes.length },
    async readInto(/** @type {Uint8Array} */ target, /** @type {number} */ offset) {
      target.set(bytes.subarray(offset, offset + target.length));
    },
  };
}

/** A model folder for 512 px. */
export async function randomModel(/** @type {number} */ seed) {
  const configs = {
    unet: { ...UNET_CONFIG, sample_size: 64 },
    vae: VAE_CONFIG,
    text_encoder: textEncoderConfig(),
  };
  const text = parseClipTextConfig(configs.text_encoder);
  const vae = parseVaeConfig(configs.vae);
  const tensors = {
    unet: namesOf((w) => unet(w, parseUNetConfig(configs.unet))),
    vae: namesOf((w) => [vaeDecoder(w, vae), vaeEncoder(w, vae)]),
    text_encoder: [
      ...namesOf((w) => clipText(w.at('text_model'), text)),
      {
        name: 'text_model.embeddings.token_embedding.weight',
        dtype: /** @type {const} */ ('F16'),
        shape: [text.vocabSize, text.hiddenSize],
      },
    ],
  };
  const files = new Map();
  for (const part of /** @type {const} */ (['unet', 'vae', 'text_encoder'])) {
    const config = new TextEncoder().encode(JSON.stringify(configs[part]));
    files.set(`${part}/config.json`, sourceOf(config, `${part}/config.json`));
    const { header, size } = encodeSafetensorsHeader(tensors[part], { format: 'pt' });
    const name = part === 'text_encoder' ? 'model.safetensors' : 'diffusion_pytorch_model.safetensors';
    files.set(`${part}/${name}`, randomSource(header, size, seed));
  }
  for (const path of ['model_index.json', 'scheduler/scheduler_config.json']) {
    files.set(path, sourceOf(pantryFile(path), path));
  }
  for (const name of ['vocab.json', 'merges.txt', 'special_tokens_map.json']) {
    files.set(`tokenizer/${name}`, sourceOf(pantryFile(`tokenizer/${name}`), name));
  }
  const tokens = { ...pantryJson('tokenizer/tokenizer_config.json'), model_max_length: text.maxPositions };
  files.set('tokenizer/tokenizer_config.json', sourceOf(new TextEncoder().encode(JSON.stringify(tokens)), 'tokens'));
  return openModelFolder({ name: `random ${seed}`, open: async (path) => files.get(path) });
}

/** Files of the size of Stable Diffusion 2.1's UNet: its tensors by name and shape, as the model asks for them. */
import { randomFillSync } from 'node:crypto';
import { closeSync, existsSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { encodeSafetensorsHeader, parseUNetConfig } from '../../packages/core/dist/index.js';
import { unet } from '../../packages/core/dist/model/unet.js';

/** huggingface.co: stable-diffusion-2-1/unet/config.json, what of it differs from diffusers' defaults. */
export const UNET_CONFIG = {
  _class_name: 'UNet2DConditionModel',
  sample_size: 96,
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [320, 640, 1280, 1280],
  layers_per_block: 2,
  cross_attention_dim: 1024,
  attention_head_dim: [5, 10, 20, 20],
  use_linear_projection: true,
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
};

/** stable-diffusion-2-1/vae/config.json. */
export const VAE_CONFIG = {
  _class_name: 'AutoencoderKL',
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  norm_num_groups: 32,
  sample_size: 768,
  down_block_types: Array(4).fill('DownEncoderBlock2D'),
  up_block_types: Array(4).fill('UpDecoderBlock2D'),
};

/** The config, with channels and context divided for a smaller model of the same tensors. */
export function configOf(/** @type {number} */ divisor) {
  const smaller = {
    ...UNET_CONFIG,
    block_out_channels: UNET_CONFIG.block_out_channels.map((channels) => channels / divisor),
    cross_attention_dim: UNET_CONFIG.cross_attention_dim / divisor,
    norm_num_groups: 32 / divisor,
  };
  return { json: smaller, config: parseUNetConfig(smaller) };
}

/** Name and shape of every tensor. */
export const tensorsOf = (/** @type {ReturnType<typeof configOf>['config']} */ config) =>
  namesOf((w) => unet(w, config));

/**
 * Name and shape of what a model asks for.
 * @param {(w: any) => unknown} build
 * @returns {import('../../packages/core/dist/index.js').TensorSpec[]}
 */
export function namesOf(build) {
  const specs = new Map();
  const add = (/** @type {string} */ name, /** @type {readonly number[]} */ shape) => {
    specs.set(name, { name, dtype: 'F16', shape });
    return { shape, storage: { type: 'f32', elements: 0, label: name } };
  };
  const matrix = (
    /** @type {string} */ name,
    /** @type {number} */ rows,
    /** @type {number} */ channels,
    kernel = 1,
  ) => {
    const isConv = kernel > 1 || /conv/.test(name);
    const data = add(name, isConv ? [rows, channels, kernel, kernel] : [rows, channels]);
    return { data, rows, inner: channels * kernel * kernel, kernel, width: 4, packed: true };
  };
  build(scopeOf({ vector: add, matrix, joint: () => undefined }));
  return [...specs.values()];
}

/** What a model asks for its weights: `find`s them by their whole names. */
export function scopeOf(find, path = '') {
  const below = (/** @type {string | number} */ name) => (path === '' ? `${name}` : `${path}.${name}`);
  return {
    path,
    at: (/** @type {(string | number)[]} */ ...names) => scopeOf(find, below(names.join('.'))),
    has: (/** @type {string} */ name) => !(name === 'bias' && /\.to_[qkv]$/.test(path)),
    vector: (/** @type {string} */ name, ...size) => find.vector(below(name), ...size),
    matrix: (/** @type {string} */ name, ...size) => find.matrix(below(name), ...size),
    joint: (/** @type {string[]} */ names, ...size) => find.joint(names.map(below), ...size),
    jointVector: (/** @type {string[]} */ names, ...size) => find.jointVector(names.map(below), ...size),
  };
}

const CHUNK = 64 * 2 ** 20;

/** Writes a file of random halves between 2^-9 and 1, both signs: finite, and of the size that weights have. */
export function writeRandom(/** @type {string} */ path, /** @type {ReturnType<typeof tensorsOf>} */ tensors) {
  const { header, size } = encodeSafetensorsHeader(tensors, { format: 'pt' });
  if (existsSync(path) && statSync(path).size === size) return size;
  const file = openSync(`${path}.tmp`, 'w');
  writeSync(file, header);
  const words = new Uint32Array(CHUNK / 4);
  for (let left = size - header.length; left > 0; left -= CHUNK) {
    randomFillSync(words);
    // Exponent fields 8 to 15 less one bit: 0b01xx0 has the values 2^-7 to 2^-1.
    for (let i = 0; i < words.length; i++) words[i] = (words[i] & 0x9bff9bff) | 0x20002000;
    writeSync(file, new Uint8Array(words.buffer, 0, Math.min(left, CHUNK)));
  }
  closeSync(file);
  renameSync(`${path}.tmp`, path);
  return size;
}

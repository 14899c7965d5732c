/** The pantry's models, step by step: what a picture is made of, copies to and from the GPU included. */
import { fileURLToPath } from 'node:url';
import { diskFolder } from '../../packages/cli/dist/index.js';
import { record } from '../../packages/core/dist/gpu/recording.js';
import {
  blendOf,
  closeWeights,
  createUNet,
  generate,
  loadModel,
  openModelFolder,
} from '../../packages/core/dist/index.js';
import { clipScope, clipText } from '../../packages/core/dist/model/clip.js';
import { unet } from '../../packages/core/dist/model/unet.js';
import { vaeDecoder } from '../../packages/core/dist/model/vae.js';
import { createParameters } from '../../packages/core/dist/soup/parameters.js';
import { flopOf } from './cases.mjs';

const PANTRY = process.env.SOUP_PANTRY ?? fileURLToPath(new URL('../../pantry', import.meta.url));
const SHARDS = ['noto', 'twemoji', 'fluent', 'ink'];
const PROMPT = 'red apple';

const folder = (/** @type {string} */ name) => openModelFolder(diskFolder(`${PANTRY}/${name}`));

/** @type {import('./cases.mjs').Case[]} */
export const models = [
  withBase('text encoder, 2 prompts', { isTierless: true }, ({ textEncoder, tokenizer }) => {
    const ids = ['', PROMPT].map((prompt) => [...tokenizer.encode(prompt).ids]);
    const { hiddenSize } = textEncoder.config;
    return {
      once: () => textEncoder.encode(ids),
      part: 'text_encoder',
      shapes: { tokens: [ids.length, ids[0].length, hiddenSize] },
      forward: (w) => {
        const model = clipText(clipScope(w), textEncoder.config);
        return ({ tokens }) => ({ y: model(tokens).lastHiddenState });
      },
    };
  }),
  withBase('UNet step, batch 2', {}, ({ unet: network, textEncoder }) => {
    const { config } = network;
    const size = { images: 2, height: config.sampleSize, width: config.sampleSize };
    const shapes = {
      sample: [2, size.height, size.width, config.inChannels],
      timestep: [2],
      context: [2, textEncoder.config.maxPositions, config.crossAttentionDim[0]],
    };
    const [sample, timestep, context] = Object.values(shapes).map(filled);
    return {
      once: () => network.predict(size, sample, timestep, context),
      part: 'unet',
      shapes,
      forward: (w) => {
        const model = unet(w, config);
        return ({ sample, timestep, context }) => ({ y: model(sample, timestep, context) });
      },
    };
  }),
  withBase('VAE decode, 128 px', {}, ({ vae }) => {
    const side = 128 / vae.factor;
    const shapes = { latents: [1, side, side, vae.config.latentChannels] };
    const latents = filled(shapes.latents);
    return {
      once: () => vae.decode({ images: 1, height: side, width: side }, latents),
      part: 'vae',
      shapes,
      forward: (w) => {
        const model = vaeDecoder(w, vae.config);
        return ({ latents }) => ({ y: model(latents) });
      },
    };
  }),
  {
    name: 'load and average 4 UNets from files',
    isTierless: true,
    async prepare(gpu) {
      const folders = await Promise.all(SHARDS.map(folder));
      const all = await Promise.all(folders.map((one) => one.weights('unet')));
      const blends = [blendOf(all), blendOf(all, [1, 2, 3, 4])];
      const network = createUNet(gpu, await folders[0].unetConfig(), blends[0]);
      let turn = 0;
      const infos = all.flatMap(({ tensors }) => [...tensors.values()]);
      return {
        async run(repeat) {
          // Other weights each time: what is held already is not read again.
          for (let i = 0; i < repeat; i++) await network.load(blends[++turn % blends.length]);
        },
        bytes: infos.reduce((sum, { byteLength }) => sum + byteLength, 0),
        async destroy() {
          network.destroy();
          await Promise.all(all.map(closeWeights));
        },
      };
    },
  },
  {
    name: 'picture, 128 px, 20 steps',
    isWhole: true,
    async prepare(gpu) {
      const model = await loadBase(gpu);
      return {
        async run() {
          for await (const _ of generate(model, { prompt: PROMPT, seed: 1, steps: 20 }));
        },
        destroy: () => model.destroy(),
      };
    },
  },
];

const loadBase = async (/** @type {import('./cases.mjs').Gpu} */ gpu) =>
  loadModel(gpu, [{ folder: await folder('base'), weight: 1 }]);

/**
 * @param {string} name
 * @param {Partial<import('./cases.mjs').Case>} facts
 * @param {(model: any) => { once: () => Promise<unknown>, part: any, shapes: any, forward: (w: any) => any }} build
 * @returns {import('./cases.mjs').Case}
 */
function withBase(name, facts, build) {
  return {
    name,
    ...facts,
    async prepare(gpu) {
      const model = await loadBase(gpu);
      const { once, part, shapes, forward } = build(model);
      return {
        async run(repeat) {
          for (let i = 0; i < repeat; i++) await once();
        },
        flop: await countFlop(gpu, part, shapes, forward),
        destroy: () => model.destroy(),
      };
    },
  };
}

/** Records the network once more, to count: its weights are named but never filled. */
async function countFlop(gpu, part, shapes, forward) {
  const weights = await (await folder('base')).weights(part);
  const parameters = createParameters(gpu, blendOf([weights]));
  try {
    return flopOf(record(gpu, shapes, forward(parameters.scope)));
  } finally {
    parameters.destroy();
    await closeWeights(weights);
  }
}

const filled = (/** @type {number[]} */ shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5);

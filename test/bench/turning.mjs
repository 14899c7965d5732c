/** What a turned slider costs in the kitchen (`soup tui`): other weights for a loaded soup, and the sketch that follows. */
import { fileURLToPath } from 'node:url';
import { diskFolder } from '../../packages/cli/dist/index.js';
import { SKETCH_STEPS } from '../../packages/cli/dist/tui/engine/jobs.js';
import { blockNames, generate, loadModel, openModelFolder, parseFraction } from '../../packages/core/dist/index.js';

const PANTRY = process.env.SOUP_PANTRY ?? fileURLToPath(new URL('../../pantry', import.meta.url));

/** @param {import('./cases.mjs').Gpu} gpu @param {readonly string[]} names */
async function load(gpu, names) {
  const open = (/** @type {string} */ name) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const ingredients = await Promise.all(names.map(async (name) => ({ folder: await open(name), weight: 1 })));
  return loadModel(gpu, ingredients, { base: await open('base') });
}

/** Weights that were not there before, so that nothing is saved. */
function* weights(/** @type {number} */ count) {
  for (let turn = 0; ; turn++) yield Array.from({ length: count }, (_, i) => 1 + ((turn * (i + 3)) % 97) / 100);
}

/**
 * @param {string} name
 * @param {readonly string[]} shards
 * @param {(model: Awaited<ReturnType<typeof loadModel>>, weights: number[]) => Promise<unknown>} once
 * @param {Partial<import('./cases.mjs').Case>} [facts]
 * @returns {import('./cases.mjs').Case}
 */
const turning = (name, shards, once, facts = {}) => ({
  name,
  isWhole: true,
  ...facts,
  async prepare(gpu) {
    const model = await load(gpu, shards);
    const turns = weights(shards.length);
    return {
      async run(repeat) {
        for (let i = 0; i < repeat; i++) await once(model, turns.next().value);
      },
      destroy: () => model.destroy(),
    };
  },
});

/** @type {import('./cases.mjs').Case[]} */
export const turns = [
  turning('turn: other weights for 2 UNets', ['noto', 'ink'], (model, all) => model.reblend(all), { isTierless: true }),
  turning('turn: other weights for 4 UNets', ['noto', 'twemoji', 'fluent', 'ink'], (model, all) => model.reblend(all), {
    isTierless: true,
  }),
  turning(
    'turn: block weights for 2 UNets',
    ['noto', 'ink'],
    (model, all) => {
      const table = Object.fromEntries(blockNames(model.unet.config).map((name) => [name, parseFraction(all[1])]));
      return model.reblend([1, 1], { blocks: [{ BASE: parseFraction(1) }, table] });
    },
    { isTierless: true },
  ),
  turning(`turn: from a key to a sketch, ${SKETCH_STEPS} steps`, ['noto', 'ink'], async (model, all) => {
    await model.reblend(all);
    for await (const _ of generate(model, { prompt: 'red apple', seed: 42, steps: SKETCH_STEPS }));
  }),
];

/**
 * What a turned slider costs in the kitchen (`soup tui`) and on the page: other weights for a loaded soup, and the
 * pictures that follow, each from the key to its pixels.
 */
import { fileURLToPath } from 'node:url';
import { diskFolder } from '../../packages/cli/dist/index.js';
import { SKETCH_STEPS } from '../../packages/cli/dist/tui/engine/jobs.js';
import { blockNames, generate, loadModel, openModelFolder, parseFraction } from '../../packages/core/dist/index.js';

const PANTRY = process.env.SOUP_PANTRY ?? fileURLToPath(new URL('../../pantry', import.meta.url));

/** @param {import('./cases.mjs').Gpu} gpu @param {readonly string[]} names @param {{ residents?: boolean }} [options] */
async function load(gpu, names, { residents = true } = {}) {
  const open = (/** @type {string} */ name) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const ingredients = await Promise.all(names.map(async (name) => ({ folder: await open(name), weight: 1 })));
  return loadModel(gpu, ingredients, { base: await open('base'), residents });
}

/** Weights that were not there before, so that nothing is saved. */
function* weights(/** @type {number} */ count) {
  for (let turn = 0; ; turn++) yield Array.from({ length: count }, (_, i) => 1 + ((turn * (i + 3)) % 97) / 100);
}

/**
 * @param {string} name
 * @param {readonly string[]} shards
 * @param {(model: Awaited<ReturnType<typeof loadModel>>, weights: number[]) => Promise<unknown>} once
 * @param {Partial<import('./cases.mjs').Case> & { residents?: boolean }} [facts]
 * @returns {import('./cases.mjs').Case}
 */
const turning = (name, shards, once, { residents = true, ...facts } = {}) => ({
  name,
  isWhole: true,
  ...facts,
  async prepare(gpu) {
    const model = await load(gpu, shards, { residents });
    const turns = weights(shards.length);
    return {
      async run(repeat) {
        for (let i = 0; i < repeat; i++) await once(model, turns.next().value);
      },
      destroy: () => model.destroy(),
    };
  },
});

const PICTURE = { prompt: 'red apple', seed: 42n };
const FULL_STEPS = 20;
const FOUR = ['noto', 'twemoji', 'fluent', 'ink'];

/** @param {Awaited<ReturnType<typeof loadModel>>} model @param {number} steps */
async function draw(model, steps) {
  for await (const _ of generate(model, { ...PICTURE, steps }));
}

/** @type {import('./cases.mjs').Case[]} */
export const turns = [
  ...[2, 4].flatMap((count) =>
    [true, false].map((residents) =>
      turning(
        `turn: re-blend, weights of ${count} shards, ${residents ? 'resident' : 'from files'}`,
        FOUR.slice(0, count),
        (model, all) => model.reblend(all),
        { isTierless: true, residents },
      ),
    ),
  ),
  turning(
    'turn: re-blend, block weights of 2 shards',
    FOUR.slice(0, 2),
    (model, all) => {
      const table = Object.fromEntries(blockNames(model.unet.config).map((name) => [name, parseFraction(all[1])]));
      return model.reblend([1, 1], { blocks: [{ BASE: parseFraction(1) }, table] });
    },
    { isTierless: true },
  ),
  ...[
    { name: 'coarse preview', steps: SKETCH_STEPS },
    { name: 'full picture', steps: FULL_STEPS },
  ].map(({ name, steps }) =>
    turning(`turn: ${name}, 4 shards, ${steps} steps`, FOUR, async (model, all) => {
      await model.reblend(all);
      await draw(model, steps);
    }),
  ),
];

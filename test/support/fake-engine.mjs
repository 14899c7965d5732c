/**
 * An engine that draws in no time, for tests of what is around it; and soups that need no files. Plain JavaScript, so that
 * processes that are to be killed can run it without a compiler.
 */
import { createHash } from 'node:crypto';

const hash = (/** @type {string} */ text) => createHash('sha256').update(text).digest('hex');

/** @typedef {import('../../packages/cli/src/batch/item.ts').SoupSpec} SoupSpec */

/** Every model is there, of 8 pixels a side. @param {SoupSpec} spec */
export async function fakeSoupOf({ model = [], recipe = '' }) {
  const name = recipe || model.join('+');
  return {
    key: hash(`soup ${name}`),
    family: hash(`family ${name.replace(/:[\d./]+/g, '')}`),
    order: { ingredients: [] },
    recipe: { type: 'diffusion-soup', version: '0', ingredients: [{ name, weight: 1 }] },
    title: name,
    facts: {
      unet: { config: { sampleSize: 1 } },
      vae: { factor: 8 },
      textEncoder: { config: { layers: 2 } },
      scheduler: { className: 'DDIMScheduler' },
    },
    bytes: 1000,
  };
}

/** Pixels that follow from what is asked for. @param {{ id: string, settings: { width: number, height: number } }} one */
export function fakeImage({ id, settings: { width, height } }) {
  const pixels = new Uint8Array(width * height * 4);
  const seed = createHash('sha256').update(id).digest();
  for (let i = 0; i < pixels.length; i++) pixels[i] = i % 4 === 3 ? 255 : seed[i % 32] ^ (i * 7);
  return { width, height, pixels };
}

export const MACHINE = { adapter: 'fake', adapterClass: 'fake', precision: 'f32' };

/**
 * @param {{ delay?: number, batch?: number, fail?: (batch: any[]) => unknown, log?: string[] }} [options] `fail` gives an
 * error to throw for a batch, or nothing
 */
export function fakeEngine({ delay = 0, batch = 1, fail = () => undefined, log = [] } = {}) {
  return {
    machine: MACHINE,
    async prepare(/** @type {{ title: string }} */ soup) {
      if (log.at(-1) !== soup.title) log.push(soup.title);
    },
    batchSize: () => batch,
    async draw(/** @type {any[]} */ items, /** @type {{ signal?: AbortSignal }} */ { signal } = {}) {
      if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
      signal?.throwIfAborted();
      const error = fail(items);
      if (error) throw error;
      return items.map(fakeImage);
    },
    async reset() {
      log.push('reset');
    },
    async close() {},
  };
}

/** The work itself, on the GPU: core's one path from models to pictures. */
import { join } from 'node:path';
import {
  blockNames,
  blockPresets,
  checkRecipe,
  expandBlocks,
  fractionToNumber,
  generate,
  loadModel,
  type Model,
  parseFraction,
  type Settings,
  SoupError,
  type UNetConfig,
  type WeightedComponent,
} from '@diffusion-soup/core';
import { adapterName, type OpenGpu, openGpuFor } from '../../gpu.js';
import { type Kitchen, openKitchen } from '../../kitchen.js';
import { createOutput, type Io, type Output } from '../../output.js';
import { savePicture } from '../../picture-file.js';
import { stepClock } from '../../progress.js';
import { recipeOf } from '../../recipe.js';
import type { Doing, Stove, Tell } from './cook.js';
import { keepCheckpoint } from './keep-checkpoint.js';
import { kitchenOrder, tableOf } from './order.js';
import type { Drawn, Inspected, Job, KeepTask, Kept, Presets, Soup } from './protocol.js';

const PARTS: Readonly<Record<WeightedComponent, string>> = { text_encoder: 'text encoder', unet: 'UNet', vae: 'VAE' };

interface Loaded {
  readonly ids: readonly string[];
  readonly kitchen: Kitchen;
  readonly model: Model;
  /** The weights that it has now; undefined while they are being changed, or when that was broken off. */
  blended?: string;
}

export class GpuStove implements Stove {
  #opened: Promise<OpenGpu> | undefined;
  #loaded: Loaded | undefined;

  constructor(
    private readonly env: Io['env'],
    /** Where pictures are put until the user keeps them elsewhere. */
    private readonly folder: string,
    private readonly tell: Tell,
  ) {}

  /** The GPU, opened once; the screen is told which it is. */
  open(): Promise<OpenGpu> {
    const onAsking = (message: string) => this.tell({ type: 'warning', message });
    this.#opened ??= openGpuFor({ onAsking }).then((opened) => {
      this.tell({
        type: 'machine',
        machine: { adapter: adapterName(opened.adapter), precision: opened.gpu.precision },
      });
      this.#tellMemory(opened);
      return opened;
    });
    return this.#opened;
  }

  async draw(job: Job, doing: Doing): Promise<Drawn> {
    const begun = performance.now();
    const opened = await this.open();
    const model = await this.#prepared(job.soup, opened, doing);
    const { tell, signal, queue } = doing;
    const clock = stepClock();
    const { effort } = job;
    const { prompt, negative, seed, steps, sampler, guidance } = job.picture;
    const request = { prompt, negative, seed, steps, guidance, ...(sampler && { sampler }), signal };
    let settings: Settings | undefined;
    for await (const event of generate(model, request)) {
      if (event.type === 'start') {
        settings = event.settings;
        for (const message of event.warnings) tell({ type: 'warning', message });
        clock.tick();
        tell({ type: 'work', work: { phase: 'drawing', effort, done: 0, total: steps, queue } });
      } else if (event.type === 'step') {
        clock.tick();
        if (clock.secondsPerStep !== undefined) tell({ type: 'speed', secondsPerStep: clock.secondsPerStep });
        const phase = event.step < event.steps ? 'drawing' : 'decoding';
        tell({ type: 'work', work: { phase, effort, done: event.step, total: event.steps, queue } });
      } else {
        this.#tellMemory(opened);
        const { path } = await savePicture(this.#pathOf(job), event.image, settings!, seed, {
          recipe: recipeFor(job.soup, this.#loaded!),
          adapter: adapterName(opened.adapter),
          precision: opened.gpu.precision,
        });
        return { key: job.key, effort, image: event.image, path, seconds: (performance.now() - begun) / 1000 };
      }
    }
    throw new Error('generate ended without a picture');
  }

  /** Sketches follow one another in one file of this process; a picture has one of its own. */
  #pathOf({ effort, key }: Job): string {
    return join(this.folder, effort === 'sketch' ? `sketch-${process.pid}.png` : `${key.slice(0, 12)}.png`);
  }

  async #prepared(soup: Soup, opened: OpenGpu, { tell, signal, queue }: Doing): Promise<Model> {
    const blended = JSON.stringify(soup);
    if (this.#loaded && this.#loaded.blended === blended) return this.#loaded.model;
    const report = (phase: 'loading' | 'blending') => (part: WeightedComponent, done: number, total: number) =>
      tell({ type: 'work', work: { phase, part: PARTS[part], done, total, queue } });
    if (!this.#loaded || !canHold(this.#loaded, soup)) {
      await this.#load(soup, opened, signal, report('loading'));
    } else {
      const loaded = this.#loaded;
      loaded.blended = undefined;
      report('blending')('unet', 0, 0); // ingredients that are on the device already are not read, and tell of no bytes
      const of = (id: string) => soup.portions.find((portion) => portion.id === id);
      const tables = soup.portions.some(({ blocks }) => blocks);
      await loaded.model.reblend(
        loaded.ids.map((id) => of(id)?.weight ?? 0),
        {
          signal,
          onProgress: report('blending'),
          blocks: loaded.ids.map((id) => (tables ? tableOf(of(id)?.blocks ?? { BASE: 1 }) : undefined)),
        },
      );
    }
    this.#loaded!.blended = blended;
    return this.#loaded!.model;
  }

  async #load(
    soup: Soup,
    opened: OpenGpu,
    signal: AbortSignal,
    onProgress: (part: WeightedComponent, done: number, total: number) => void,
  ): Promise<void> {
    const kitchen = await openKitchen(kitchenOrder(soup), this.#output(signal));
    try {
      // Said before the soup that is there is given up for one that cannot be.
      await checkRecipe(opened.gpu, kitchen.open);
      const before = this.#loaded;
      this.#loaded = undefined;
      await before?.model.destroy();
      await before?.kitchen.close();
      onProgress('unet', 0, 0);
      const { ingredients, ...settings } = kitchen.open;
      const model = await loadModel(opened.gpu, ingredients, { ...settings, residents: true, signal, onProgress });
      this.#loaded = { ids: soup.portions.map(({ id }) => id), kitchen, model };
      this.#tellMemory(opened);
      this.#tellBlocks(model.unet.config);
    } catch (error) {
      await kitchen.close();
      throw error;
    }
  }

  keep(task: KeepTask, doing: Doing): Promise<Kept> {
    return keepCheckpoint(task, this.env, doing);
  }

  /** Each by itself, then beside the first of the soup that is sound. */
  async inspect(ids: readonly string[], against: readonly string[]): Promise<readonly Inspected[]> {
    const opened = await this.open();
    const alone = new Map<string, string | undefined>();
    for (const id of new Set([...ids, ...against])) alone.set(id, await this.#problemOf(opened, [id]));
    const first = against.find((id) => alone.get(id) === undefined);
    const found: Inspected[] = [];
    for (const id of ids) {
      const isPair = first !== undefined && first !== id && alone.get(id) === undefined;
      const problem = isPair ? await this.#problemOf(opened, [first, id]) : alone.get(id);
      found.push({ id, ...(problem !== undefined && { problem }) });
    }
    return found;
  }

  async #problemOf(opened: OpenGpu, ids: readonly string[]): Promise<string | undefined> {
    let kitchen: Kitchen | undefined;
    try {
      kitchen = await openKitchen(kitchenOrder({ portions: ids.map((id) => ({ id, weight: 1 })) }), this.#output());
      await checkRecipe(opened.gpu, kitchen.open);
      return undefined;
    } catch (error) {
      if (error instanceof SoupError) return error.message;
      throw error;
    } finally {
      await kitchen?.close();
    }
  }

  #output(signal: AbortSignal = new AbortController().signal): Output {
    const silent = { write() {} };
    return createOutput({ stdout: silent, stderr: silent, env: this.env, signal }, { quiet: true });
  }

  #tellMemory({ gpu }: OpenGpu): void {
    this.tell({ type: 'memory', used: gpu.memory.used, budget: gpu.memory.budget });
  }

  #tellBlocks(config: UNetConfig): void {
    this.tell({ type: 'blocks', names: blockNames(config), presets: presetsOf(config) });
  }
}

/**
 * Whether a loaded model can become a soup by other weights alone: shards that are not in the soup weigh nothing. They
 * must be UNets only, or they would lend the soup parts that it does not have without them.
 */
function canHold({ ids, kitchen }: Loaded, soup: Soup): boolean {
  const { portions, base } = soup;
  if (kitchen.order.base !== base || !portions.every(({ id }) => ids.includes(id))) return false;
  return kitchen.ingredients.every(
    ({ folder }, i) =>
      portions.some(({ id }) => id === ids[i]) || [...folder.components].every((component) => component === 'unet'),
  );
}

/** What a picture says it is of: the soup's shards alone. */
function recipeFor(soup: Soup, { ids, kitchen }: Loaded) {
  const pathOf = (id: string) => kitchen.ingredients[ids.indexOf(id)].path;
  return recipeOf(
    soup.portions.map(({ id, weight, blocks, root }) => ({
      path: pathOf(id),
      weight: parseFraction(weight),
      ...(blocks && { blocks: tableOf(blocks) }),
      ...(root && { root }),
    })),
    kitchen.base?.path,
  );
}

function presetsOf(config: UNetConfig): Presets {
  const tables = [...blockPresets.keys()].map((name) => {
    const factors = [...expandBlocks(name, config)].map(
      ([block, factor]) => [block, fractionToNumber(factor)] as const,
    );
    // 1 is what a block has anyway.
    return [name, Object.fromEntries(factors.filter(([, factor]) => factor !== 1))] as const;
  });
  return Object.fromEntries(tables);
}

/** The work itself: core's one path from models to pictures and files, on the browser's GPU. */
import { type GenerateRequest, generate, type Image, type Settings } from '@diffusion-soup/core';
import type { ByteOrigin, DrawOrder, Order } from '../messages.js';
import { type Easel, openEasel } from './canvas.js';
import type { Doing, Stove, Tell, Work } from './desk.js';
import { causeOf, openSession, type Session } from './device.js';
import { DrawnPictures } from './drawn.js';
import { failureOf } from './failure.js';
import type { Files, FilesOptions } from './files.js';
import { Pot } from './pot.js';
import { tellLoading, tellMerging, throttled } from './progress.js';

type OrderOf<T extends Order['type']> = Extract<Order, { type: T }>;

/** A device with what lives on it. */
interface Kitchen {
  readonly session: Session;
  readonly easel: Easel;
  readonly pot: Pot;
}

export class GpuStove implements Stove {
  #start: OrderOf<'start'> | undefined;
  #opened: Files | undefined;
  #kitchen: Promise<Kitchen> | undefined;
  #closing: Promise<unknown> | undefined;
  #hasLost = false;
  #origin: ByteOrigin = 'network';
  readonly #drawn = new DrawnPictures();

  constructor(private readonly openFiles: (options: FilesOptions) => Files) {}

  async work(order: Work, doing: Doing): Promise<void> {
    const { tell, signal } = doing;
    switch (order.type) {
      case 'start':
        this.#start = order;
        this.#opened = this.#open(order);
        await this.#onGpu(async ({ session, easel }) => {
          const { adapter, gpu } = session;
          tell({ type: 'machine', adapter, precision: gpu.precision, painting: easel.painting });
        });
        return;
      case 'models':
        tell({ type: 'models', models: await this.#files.setModels(order.models, signal) });
        return;
      case 'survey':
        await this.#onGpu(async ({ session }) => {
          tell({ type: 'survey', survey: await this.#files.survey(session.gpu, order.blend) });
        });
        return;
      case 'draw':
        await this.#onGpu((kitchen) => this.#draw(order, kitchen, doing), tell);
        return;
      case 'merge':
        await this.#onGpu((kitchen) => this.#merge(order, kitchen, doing), tell);
        return;
      case 'show':
        await this.#onGpu(async ({ easel }) => easel.paintImage(order.image));
        return;
      case 'picture-file':
        tell({ type: 'picture-file', png: await this.#files.picture(this.#drawn.get(order.key)) });
        return;
      case 'restore':
        tell({ type: 'restored', restored: await this.#files.restore(order.name, order.bytes) });
        return;
      case 'cache':
        if (order.action === 'clear') await this.#files.cache.clear();
        tell({ type: 'cache', ...(await this.#files.cache.info()) });
        return;
      case 'release':
        await this.#release(tell);
    }
  }

  /** As a driver would: what runs finds the device gone. */
  lose(): void {
    this.#kitchen?.then(({ session }) => session.gpu.device.destroy()).catch(() => {}); // there is none to lose
  }

  get #files(): Files {
    if (!this.#opened) throw new Error('The first order is start.');
    return this.#opened;
  }

  #open({ page, token }: OrderOf<'start'>): Files {
    const onBytes = (origin: ByteOrigin) => {
      this.#origin = origin;
    };
    return this.openFiles({ page, onBytes, ...(token !== undefined && { token }) });
  }

  /** Opens the device where there is none, or one that was lost. Nothing is tried twice within an order. */
  async #onGpu(work: (kitchen: Kitchen) => Promise<void>, tell?: Tell): Promise<void> {
    const before = this.#kitchen;
    // Another order may have seen the loss, too, and opened a new one meanwhile.
    if ((await before?.catch(() => undefined))?.session.loss && this.#kitchen === before) {
      this.#hasLost = true;
      await this.#close().catch(() => {}); // it is of no use any more, whatever it says
    }
    this.#kitchen ??= this.#openKitchen();
    const opening = this.#kitchen;
    const kitchen = await opening.catch((error: unknown) => {
      if (this.#kitchen === opening) this.#kitchen = undefined; // the next order tries again
      throw error;
    });
    try {
      await work(kitchen);
    } catch (error) {
      const cause = await causeOf(error, kitchen.session);
      // What is loaded is in the way of what may fit. Only who has the GPU to itself, and tells its memory, may clear it.
      if (tell && failureOf(cause).kind === 'out-of-memory') await kitchen.pot.empty();
      throw cause;
    } finally {
      const { used, peak } = kitchen.session.gpu.memory;
      tell?.({ type: 'memory', used: kitchen.session.loss ? 0 : used, peak });
    }
  }

  async #openKitchen(): Promise<Kitchen> {
    await this.#closing; // the canvas is one device's at a time
    const session = await openSession({ budget: this.#start?.memory, isAfterLoss: this.#hasLost });
    return { session, easel: openEasel(this.#start?.canvas, session.gpu), pot: new Pot(session.gpu) };
  }

  #close(): Promise<Kitchen | undefined> {
    const opened = this.#kitchen;
    this.#kitchen = undefined;
    const closing = (async () => {
      const kitchen = await opened?.catch(() => undefined);
      try {
        await kitchen?.pot.empty();
      } finally {
        kitchen?.easel.destroy();
        kitchen?.session.close();
      }
      return kitchen;
    })();
    this.#closing = closing.catch(() => {});
    return closing;
  }

  async #release(tell: Tell): Promise<void> {
    const memory = (await this.#close())?.session.gpu.memory;
    tell({ type: 'memory', used: memory?.used ?? 0, peak: memory?.peak ?? 0 });
  }

  async #draw(order: DrawOrder, { session, easel, pot }: Kitchen, { tell, signal }: Doing): Promise<void> {
    const begun = performance.now();
    const { key, blend, quality, previewEvery } = order;
    const recipe = await this.#files.openBlend(blend);
    const hashesOf = this.#files.hashesOf;
    const onProgress = tellLoading(tell, () => this.#origin);
    let hasRead = false;
    const model = await pot.cook(recipe, {
      signal,
      hashesOf,
      onProgress: (...progress) => {
        hasRead = true;
        onProgress(...progress);
      },
    });
    if (hasRead) tell({ type: 'cache', ...(await this.#files.cache.info()) });
    let isPainted = false;
    const onDecoded: GenerateRequest['onDecoded'] = (picture) => {
      // By now something else may be shown.
      isPainted = signal.aborted || easel.paintDecoded(picture);
    };
    const step = throttled((step: number, steps: number, preview?: Image) =>
      tell({ type: 'step', key, step, steps, ...(preview && { preview }) }),
    );
    let settings: Settings;
    const { seed, ...picture } = order.picture;
    for await (const event of generate(model, { ...picture, seed: BigInt(seed), previewEvery, signal, onDecoded })) {
      if (event.type === 'start') {
        settings = event.settings;
        step(true, 0, settings.steps);
      } else if (event.type === 'step') {
        const [preview] = event.previews ?? [];
        if (preview && !isPainted) easel.paintImage(preview);
        const isShown = easel.painting !== 'none';
        step(
          event.step === event.steps || preview !== undefined,
          event.step,
          event.steps,
          isShown ? undefined : preview,
        );
        isPainted = false;
      } else {
        const { image } = event;
        if (!isPainted) easel.paintImage(image);
        const machine = { adapter: session.adapter, precision: session.gpu.precision };
        this.#drawn.keep(key, { image, settings: settings!, blend, machine });
        tell({ type: 'image', key, quality, image, seconds: (performance.now() - begun) / 1000 });
      }
    }
  }

  async #merge({ blend, target }: OrderOf<'merge'>, { session }: Kitchen, { tell, signal }: Doing): Promise<void> {
    const onProgress = tellMerging(tell);
    const merged = await this.#files.merge(session.gpu, blend, { signal, onProgress, ...(target && { target }) });
    tell({ type: 'merged', ...merged });
  }
}

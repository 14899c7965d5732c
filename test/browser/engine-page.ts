/** A page that does nothing but speak with the engine, driven by engine.test.ts. */
import type { Image } from '@diffusion-soup/core';
import type { EngineEvent, Order } from '../../packages/viewer/src/messages.ts';

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
export type Wish = WithoutId<Order>;
/** What the test sees: pixels stay in the page. */
export type Seen = WithoutId<EngineEvent>;

declare global {
  interface Window {
    /** Gives an order; its events are in `heard` from then on. */
    order(wish: Wish): number;
    /** The events of an order, once one of these types is among them, or its end. */
    until(id: number, ...types: EngineEvent['type'][]): Promise<Seen[]>;
    /** What came as `image`, by its key. */
    pictures: Map<string, Image>;
    /** Orders that such a picture is shown again. */
    showAgain(key: string): number;
    /** What a picture's bytes say. */
    restore(png: readonly number[]): Promise<unknown>;
    /** Of the canvas, as it is shown. */
    shown(): Promise<number[]>;
  }
}

const worker = new Worker(new URL('../../packages/viewer/src/engine/worker.ts', import.meta.url), { type: 'module' });
const heard: EngineEvent[] = [];
const listeners: (() => void)[] = [];
let last = 0;
const ENDS: readonly string[] = ['done', 'failed', 'cancelled'];

worker.onmessage = ({ data }: MessageEvent<EngineEvent>) => {
  heard.push(data);
  if (data.type === 'image') window.pictures.set(data.key, data.image);
  for (const listener of listeners.splice(0)) listener();
};
worker.onerror = (event) => console.error(`worker: ${event.message}`);

window.pictures = new Map();
window.order = (wish) => {
  const id = ++last;
  if (wish.type === 'start') {
    const canvas = document.querySelector('canvas')!.transferControlToOffscreen();
    worker.postMessage({ ...wish, id, canvas }, [canvas]);
  } else worker.postMessage({ ...wish, id });
  return id;
};
window.showAgain = (key) => window.order({ type: 'show', image: window.pictures.get(key)! });
window.until = async (id, ...types) => {
  for (;;) {
    const mine = heard.filter((event) => event.id === id);
    if (mine.some(({ type }) => ENDS.includes(type) || types.includes(type))) return mine.map(withoutPixels);
    await new Promise<void>((resolve) => listeners.push(resolve));
  }
};

window.restore = async (png) => {
  const events = await window.until(
    window.order({ type: 'restore', name: 'picture.png', bytes: Uint8Array.from(png) }),
  );
  return events.find((event) => event.type === 'restored')?.restored;
};

function withoutPixels(event: EngineEvent): Seen {
  if (event.type !== 'image') return event;
  return { ...event, image: { ...event.image, pixels: new Uint8Array() } };
}

window.shown = async () => {
  // What a worker paints is shown with the next frame.
  for (let i = 0; i < 2; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
  const bitmap = await createImageBitmap(document.querySelector('canvas')!);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  return [...context.getImageData(0, 0, bitmap.width, bitmap.height).data];
};

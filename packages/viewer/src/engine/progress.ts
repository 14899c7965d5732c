/** What is told of work under way: not more often than can be seen, and the last word always. */
import type { WeightedComponent } from '@diffusion-soup/core';
import type { ByteOrigin } from '../messages.js';
import type { Tell } from './desk.js';

const EVERY_MS = 100;
/** The speed is that of the last few seconds. */
const WINDOW_MS = 4000;
const LEAST_MS = 500;

const PARTS: Readonly<Record<WeightedComponent, string>> = { text_encoder: 'text encoder', unet: 'UNet', vae: 'VAE' };

/** Calls `say` at most ten times a second; `isLast` gets through. */
export function throttled<T extends readonly unknown[]>(
  say: (...args: T) => void,
  now: () => number = () => performance.now(),
): (isLast: boolean, ...args: T) => void {
  let next = Number.NEGATIVE_INFINITY;
  return (isLast, ...args) => {
    if (!isLast && now() < next) return;
    next = now() + EVERY_MS;
    say(...args);
  };
}

/** Seconds until `total`, by the pace of what came last; undefined until there is something to go by. */
export function createPace(now: () => number = () => performance.now()) {
  let seen: { at: number; done: number }[] = [];
  return (done: number, total: number): number | undefined => {
    const at = now();
    if (seen.length > 0 && done < seen.at(-1)!.done) seen = []; // another part
    seen.push({ at, done });
    while (seen.length > 2 && seen[1]!.at < at - WINDOW_MS) seen.shift();
    const first = seen[0]!;
    if (at - first.at < LEAST_MS || done === first.done) return undefined;
    return ((total - done) * (at - first.at)) / (done - first.done) / 1000;
  };
}

/** For loadModel's `onProgress`: `loading` events, with where the bytes came from last. */
export function tellLoading(tell: Tell, origin: () => ByteOrigin) {
  const pace = createPace();
  const say = throttled((part: WeightedComponent, bytes: number, total: number) => {
    const eta = pace(bytes, total);
    tell({ type: 'loading', part: PARTS[part], origin: origin(), bytes, total, ...(eta !== undefined && { eta }) });
  });
  let last: WeightedComponent | undefined;
  return (part: WeightedComponent, bytes: number, total: number) => {
    say(bytes === total || part !== last, part, bytes, total);
    last = part;
  };
}

export function tellMerging(tell: Tell) {
  const say = throttled((bytes: number, total: number) => tell({ type: 'merging', bytes, total }));
  return (bytes: number, total: number) => say(bytes === total, bytes, total);
}

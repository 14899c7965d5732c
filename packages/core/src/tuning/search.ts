/**
 * A search for the fastest tiles on one device. A network is run as a whole under every tiling that there is, all of its
 * products at once: each product then keeps the one that took it least. So a search takes as many runs as there are
 * tilings, however many products there are, and each is timed between the neighbours that it will have.
 */
import { throwIfAborted } from '../errors.js';
import type { KernelTime } from '../gpu/clock.js';
import type { Gpu } from '../gpu/gpu.js';
import { type Product, productName, type Tiling, type Tuning } from '../gpu/tuning.js';
import { tilingsOf } from './tilings.js';

export interface TunedProduct {
  readonly product: Product;
  readonly tiling: Tiling;
  /** Milliseconds on the GPU for all of this product in one run, by the kernel's own choice and by the tiling. */
  readonly before: number;
  readonly after: number;
}

export interface SearchOptions {
  /** Runs of each tiling, of which the fastest counts. */
  readonly runs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Runs the network once, under `gpu.tuning`, and says what it computed and when each kernel ran. */
export type Trial = () => Promise<{ readonly values: Float32Array; readonly times: readonly KernelTime[] }>;

/** Relative L2 between results under two tilings: they round sums of halves in another order. */
const TOLERANCE = 1e-2;
/** What is faster by less is noise, and the kernel's own choice stands. */
const GAIN = 0.97;

export interface Search {
  /** All products of the network. */
  readonly measured: readonly Product[];
  /** Those of them that another tiling makes faster. */
  readonly products: readonly TunedProduct[];
}

/** Tries every tiling; `gpu.tuning` is as before. */
export async function searchTilings(gpu: Gpu, trial: Trial, options: SearchOptions = {}): Promise<Search> {
  const { runs = 3, signal, onProgress } = options;
  const { tuning } = gpu;
  gpu.sumsApart = true;
  try {
    const own = await fastest(gpu, trial, () => undefined, runs);
    const measured = new Map([...own.times].map(([name, { product }]) => [name, product]));
    const tilings = new Map(
      [...measured.values()].flatMap((product) => tilingsOf(gpu, product).map((tiling) => [key(tiling), tiling])),
    );
    const best = new Map<string, { tiling: Tiling; ms: number }>();
    let done = 0;
    for (const tiling of tilings.values()) {
      throwIfAborted(signal);
      const tried = await fastest(gpu, trial, () => tiling, runs);
      onProgress?.(++done, tilings.size);
      if (distance(tried.values, own.values) > TOLERANCE) continue; // this device's compiler gets it wrong
      for (const [name, { ms, used }] of tried.times) {
        if (key(used) === key(tiling) && ms < (best.get(name)?.ms ?? Number.POSITIVE_INFINITY)) {
          best.set(name, { tiling, ms });
        }
      }
    }
    const products = [...best].flatMap(([name, { tiling, ms }]) => {
      const before = own.times.get(name)!.ms;
      return ms < GAIN * before ? [{ product: measured.get(name)!, tiling, before, after: ms }] : [];
    });
    return { measured: [...measured.values()], products };
  } finally {
    gpu.tuning = tuning;
    gpu.sumsApart = false;
  }
}

/** Milliseconds of a whole run, by the kernels' own choice and by a tuning. */
export interface Whole {
  readonly before: number;
  readonly after: number;
}

/**
 * What a whole run takes, kernels following one another: what is faster by itself may not be faster there. The least of
 * several runs, with and without taking turns; `gpu.tuning` is as before.
 */
export async function compareWhole(gpu: Gpu, tuning: Tuning, run: () => Promise<unknown>, rounds = 3): Promise<Whole> {
  const own = gpu.tuning;
  const timed = async (one: Tuning) => {
    gpu.tuning = one;
    await run(); // plans anew
    const begun = performance.now();
    await run();
    return performance.now() - begun;
  };
  let [before, after] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  try {
    for (let round = 0; round < rounds; round++) {
      before = Math.min(before, await timed(() => undefined));
      after = Math.min(after, await timed(tuning));
    }
  } finally {
    gpu.tuning = own;
  }
  return { before, after };
}

/** What looks them up; other products keep their kernel's choice. */
export function tuningFrom(tuned: Iterable<Pick<TunedProduct, 'product' | 'tiling'>>): Tuning {
  const table = new Map([...tuned].map(({ product, tiling }) => [productName(product), tiling]));
  return (product) => table.get(productName(product));
}

const key = ({ tile, splits }: Tiling): string => `${tile} ${splits}`;

interface Timed {
  readonly product: Product;
  readonly used: Tiling;
  readonly ms: number;
}

async function fastest(gpu: Gpu, trial: Trial, tuning: Tuning, runs: number) {
  gpu.tuning = tuning;
  const { values } = await trial(); // compiles
  const times = new Map<string, Timed>();
  for (let run = 0; run < runs; run++) {
    for (const [name, timed] of sums((await trial()).times)) {
      if (timed.ms < (times.get(name)?.ms ?? Number.POSITIVE_INFINITY)) times.set(name, timed);
    }
  }
  return { values, times };
}

/** By product, its kernels together. */
function sums(times: readonly KernelTime[]): Map<string, Timed> {
  const found = new Map<string, Timed>();
  for (const { product, beginMs, endMs } of times) {
    if (!product) continue;
    const name = productName(product);
    const ms = (found.get(name)?.ms ?? 0) + endMs - beginMs;
    found.set(name, { product, used: product, ms });
  }
  return found;
}

function distance(a: Float32Array, b: Float32Array): number {
  let off = 0;
  let size = 0;
  for (let i = 0; i < a.length; i++) {
    off += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(off / size);
}

/**
 * Waiting without being in the way. Dawn in Node asks again and again whether a promise is settled, with a whole core;
 * where the GPU is made of the same cores, it waits for us as we wait for it. So no promise is made until most of the time is
 * over that a plan took before.
 */
import type { Gpu } from './gpu.js';

/** Of what the shorter of the last two runs took. */
const REST = 0.85;
/** Milliseconds below which a timer is too coarse. */
const SHORTEST = 3;

export interface Rest {
  /** Resolves when a run that began at `begun` is nearly done; undefined where waiting is in nobody's way, or nothing is known. */
  most(begun: number): Promise<void> | undefined;
  took(ms: number): void;
}

export function createRest({ subgroup }: Gpu): Rest {
  let recent: number[] = [];
  return {
    most(begun) {
      const ms = REST * Math.min(...recent) - (Date.now() - begun);
      // Lanes that share are processors'.
      if (subgroup === 1 || recent.length < 2 || ms < SHORTEST) return undefined;
      return new Promise((resolve) => setTimeout(resolve, ms));
    },
    took(ms) {
      recent = [...recent.slice(-1), ms];
    },
  };
}

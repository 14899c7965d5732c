/** Residents for as long as nobody needs their memory more: activations do, and then weights are read again. */
import type { Gpu } from '../gpu/gpu.js';
import type { Reaverage } from './re-average.js';
import { createResidents, type Residents, type ResidentsOptions } from './residents.js';
import type { Piece } from './staging.js';

export interface Larder {
  /** Held on the device now. */
  readonly bytes: number;
  /** Keeps what `pieces` are made of, unless that was done, or there was no room for it, before. */
  stock(pieces: () => readonly Piece[], options?: ResidentsOptions): Promise<void>;
  /** Of what is kept; nothing is filled when that is nothing. */
  readonly average: Reaverage;
  destroy(): void;
}

export function createLarder(gpu: Gpu): Larder {
  let residents: Residents | undefined;
  let isTried = false;
  let takeBackOffer = () => {};
  const empty = () => {
    takeBackOffer();
    residents?.destroy();
    residents = undefined;
  };
  return {
    get bytes() {
      return residents?.bytes ?? 0;
    },
    async stock(pieces, options) {
      if (isTried) return;
      // One term is never averaged with others: nothing would be gained by keeping it.
      const changing = pieces().filter(({ average }) => average.terms.length > 1);
      residents = changing.length > 0 ? await createResidents(gpu, changing, options) : undefined;
      isTried = true;
      if (residents) takeBackOffer = gpu.memory.offer(residents.bytes, empty);
    },
    average: async (wanted) => (await residents?.average(wanted)) ?? new Set(),
    destroy: empty,
  };
}

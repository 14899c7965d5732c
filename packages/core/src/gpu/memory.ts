/**
 * A byte budget for GPU memory. Drivers fail late and badly (lavapipe hands out more than the machine has,
 * SwiftShader gets the process killed), so we count ourselves and refuse before the device does.
 */
import { MemoryError } from '../errors.js';

export interface Memory {
  /** Bytes the engine may hold; Infinity when nobody set a limit. */
  readonly budget: number;
  /** Bytes held now. */
  readonly used: number;
  /** The most that was held at once. */
  readonly peak: number;
  /** Bytes that could be reserved: what is free, and what others would give back for it. */
  readonly available: number;
  /** Counts `bytes` for `purpose`, or throws a MemoryError that says what would not fit. */
  reserve(bytes: number, purpose: string): void;
  release(bytes: number): void;
  /**
   * Offers `bytes` that are held but can be done without: `giveBack` is called once when they are needed, and releases
   * them. Returns what takes the offer back.
   */
  offer(bytes: number, giveBack: () => void): () => void;
}

export function createMemory(budget = Number.POSITIVE_INFINITY): Memory {
  let used = 0;
  let peak = 0;
  const offers = new Set<{ readonly bytes: number; readonly giveBack: () => void }>();
  const offered = () => [...offers].reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    budget,
    get used() {
      return used;
    },
    get peak() {
      return peak;
    },
    get available() {
      return budget - used + offered();
    },
    reserve(bytes, purpose) {
      for (const offer of used + bytes <= budget + offered() ? offers : []) {
        if (used + bytes <= budget) break;
        offers.delete(offer);
        offer.giveBack();
      }
      if (used + bytes > budget) {
        throw new MemoryError(
          `${purpose} needs ${formatBytes(bytes)} of GPU memory, but ${formatBytes(used)} of the budget of ` +
            `${formatBytes(budget)} are in use. Make a smaller picture or fewer at once, or raise the budget.`,
          { needed: bytes, used, budget },
        );
      }
      used += bytes;
      peak = Math.max(peak, used);
    },
    release(bytes) {
      used -= bytes;
    },
    offer(bytes, giveBack) {
      const offer = { bytes, giveBack };
      offers.add(offer);
      return () => void offers.delete(offer);
    },
  };
}

/** 1536 -> "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

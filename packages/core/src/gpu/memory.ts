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
  /** Counts `bytes` for `purpose`, or throws a MemoryError that says what would not fit. */
  reserve(bytes: number, purpose: string): void;
  release(bytes: number): void;
}

export function createMemory(budget = Number.POSITIVE_INFINITY): Memory {
  let used = 0;
  let peak = 0;
  return {
    budget,
    get used() {
      return used;
    },
    get peak() {
      return peak;
    },
    reserve(bytes, purpose) {
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
  };
}

/** 1536 -> "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

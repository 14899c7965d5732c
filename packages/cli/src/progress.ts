/** How far a long task is and how long it will take, as one line of text. */
import { formatBytes } from '@diffusion-soup/core';

/** 75 -> "1 min 15 s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "12.0 MiB of 40.0 MiB, 30%, 200 MiB/s, 0.1 s left". */
export function byteProgress(now = () => performance.now()) {
  let begun: number | undefined;
  let from = 0;
  return (done: number, total: number): string => {
    if (begun === undefined) [begun, from] = [now(), done];
    const seconds = (now() - begun) / 1000;
    const rate = (done - from) / seconds;
    const share = `${formatBytes(done)} of ${formatBytes(total)}, ${Math.floor((100 * done) / Math.max(1, total))}%`;
    // The first moments tell nothing about the rest.
    if (seconds < 0.5 || !(rate > 0)) return share;
    return `${share}, ${formatBytes(rate)}/s, ${formatSeconds((total - done) / rate)} left`;
  };
}

/** ", 12 s left", once that can be told; counted from the first call, which comes after shaders are compiled. */
export function timeLeft(now = () => performance.now()) {
  let from: { at: number; done: number } | undefined;
  return (done: number, total: number): string => {
    from ??= { at: now(), done };
    if (done - from.done < 3) return '';
    const each = (now() - from.at) / 1000 / (done - from.done);
    return `, ${formatSeconds(each * (total - done))} left`;
  };
}

export interface StepClock {
  /** Call when the task begins, and after every step. */
  tick(): void;
  /** "step 3 of 20, 0.31 s/step, 5.3 s left". */
  line(done: number, total: number): string;
  /** Of one step, or undefined before there is one. */
  readonly secondsPerStep: number | undefined;
}

/** The median of the latest steps: the first one compiles shaders, and a busy machine has slow moments. */
export function stepClock(now = () => performance.now()): StepClock {
  const KEPT = 32;
  const steps: number[] = [];
  let last: number | undefined;
  const median = () => {
    const known = steps.slice(1);
    return [...known].sort((a, b) => a - b)[known.length >> 1];
  };
  return {
    get secondsPerStep() {
      return median();
    },
    tick() {
      const at = now();
      if (last !== undefined) steps.push((at - last) / 1000);
      if (steps.length > KEPT) steps.splice(1, 1);
      last = at;
    },
    line(done, total) {
      const each = median();
      const count = `step ${done} of ${total}`;
      if (each === undefined) return count;
      return `${count}, ${each.toFixed(each < 1 ? 2 : 1)} s/step, ${formatSeconds(each * (total - done))} left`;
    },
  };
}

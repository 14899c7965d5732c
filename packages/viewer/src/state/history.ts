/** Undo and redo. What the same hand does in one go, such as dragging one slider, is undone in one go. */
export interface History<T> {
  readonly past: readonly T[];
  readonly present: T;
  readonly future: readonly T[];
  /** What made the present: the same again replaces it. */
  readonly by?: string;
}

const MOST_KEPT = 200;

export const historyOf = <T>(present: T): History<T> => ({ past: [], present, future: [] });

export function changed<T>({ past, present, future, by }: History<T>, next: T, now?: string): History<T> {
  if (next === present) return { past, present, future, ...(by !== undefined && { by }) };
  const isSame = now !== undefined && now === by;
  return {
    past: isSame ? past : [...past, present].slice(-MOST_KEPT),
    present: next,
    future: [],
    ...(now !== undefined && { by: now }),
  };
}

/** The next change is one of its own, whatever it is. */
export const sealed = <T>({ by: _, ...history }: History<T>): History<T> => history;

export function undone<T>({ past, present, future }: History<T>): History<T> {
  const before = past.at(-1);
  return before === undefined
    ? { past, present, future }
    : { past: past.slice(0, -1), present: before, future: [present, ...future] };
}

export function redone<T>({ past, present, future }: History<T>): History<T> {
  const [after, ...rest] = future;
  return after === undefined ? { past, present, future } : { past: [...past, present], present: after, future: rest };
}

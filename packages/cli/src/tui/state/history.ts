/** Undo and redo of anything. */

export interface History<T> {
  readonly past: readonly T[];
  readonly present: T;
  readonly future: readonly T[];
  /** What made the present; the same thing again only replaces it, so that a turned slider is undone at once. */
  readonly by?: string;
}

const MOST_KEPT = 500;

export const historyOf = <T>(present: T): History<T> => ({ past: [], present, future: [] });

export function changed<T>(history: History<T>, present: T, by?: string): History<T> {
  if (present === history.present) return history;
  if (by !== undefined && by === history.by) return { ...history, present, future: [] };
  return { past: [...history.past, history.present].slice(-MOST_KEPT), present, future: [], ...(by && { by }) };
}

/** The next change is one of its own, whatever it is. */
export const sealed = <T>({ by: _, ...history }: History<T>): History<T> => history;

export function undone<T>({ past, present, future }: History<T>): History<T> {
  const before = past.at(-1);
  if (before === undefined) return { past, present, future };
  return { past: past.slice(0, -1), present: before, future: [present, ...future] };
}

export function redone<T>({ past, present, future }: History<T>): History<T> {
  const [after, ...rest] = future;
  if (after === undefined) return { past, present, future };
  return { past: [...past, present], present: after, future: rest };
}

/** Blends side by side, before any of them is drawn: along a line between two ingredients, or over two axes. */
import type { Doc } from './document.js';
import { written } from './ingredients.js';

export interface Cell {
  readonly label: string;
  readonly doc: Doc;
}

export interface Sheet {
  readonly title: string;
  readonly columns: number;
  readonly cells: readonly Cell[];
}

export type SheetKind = 'sweep' | 'grid';

const only = (doc: Doc, weights: Readonly<Record<string, number>>): Doc => ({
  ...doc,
  ingredients: doc.ingredients.map((one) => {
    const weight = weights[one.name] ?? 0;
    return weight > 0 ? { ...one, on: true, weight: written(weight) } : { ...one, on: false };
  }),
});

const steps = (count: number): number[] => Array.from({ length: count }, (_, i) => (count > 1 ? i / (count - 1) : 0));

/** (1 - α) a + α b for α from 0 to 1. */
export const sweepOf = (doc: Doc, [a, b]: readonly string[], count: number): Sheet => ({
  title: `${a} to ${b}`,
  columns: count,
  cells: steps(count).map((alpha) => ({
    label: alpha.toFixed(2),
    doc: only(doc, { [a!]: 1 - alpha, [b!]: alpha }),
  })),
});

/** To the right from a to b, downwards ever more of c. */
export const gridOf = (doc: Doc, [a, b, c]: readonly string[], count: number): Sheet => ({
  title: `${a} to ${b} from left to right, more ${c} downwards`,
  columns: count,
  cells: steps(count).flatMap((down) =>
    steps(count).map((right) => ({
      label: `${right.toFixed(2)}, ${down.toFixed(2)}`,
      doc: only(doc, { [a!]: (1 - right) * (1 - down), [b!]: right * (1 - down), [c!]: down }),
    })),
  ),
});

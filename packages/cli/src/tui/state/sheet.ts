/** Sheets of pictures side by side: what they hold, before any of it is drawn. */
import { isUsed, rounded, type Shard } from './soup.js';

export type SheetKind = 'sweep' | 'grid' | 'without';

export interface Cell {
  readonly label: string;
  readonly shards: readonly Shard[];
}

export interface Sheet {
  readonly kind: SheetKind;
  readonly title: string;
  readonly columns: number;
  readonly cells: readonly Cell[];
}

const SWEEP = [0, 0.25, 0.5, 0.75, 1];
const GRID = [0, 0.5, 1];

const only = (shards: readonly Shard[], weights: Readonly<Record<string, number>>): readonly Shard[] =>
  shards.map((shard) => {
    const weight = rounded(weights[shard.id] ?? 0);
    return { ...shard, on: weight !== 0, weight: weight || shard.weight };
  });

/** From one shard to another: the first two that are in the soup. */
export function sweepOf(shards: readonly Shard[], from: string, to: string): Sheet {
  return {
    kind: 'sweep',
    title: `from ${from} to ${to}`,
    columns: SWEEP.length,
    cells: SWEEP.map((share) => ({
      label: share.toFixed(2),
      shards: only(shards, { [from]: 1 - share, [to]: share }),
    })),
  };
}

/** Two axes: to the right from one shard to the second, downwards ever more of the third. */
export function gridOf(shards: readonly Shard[], from: string, to: string, third: string): Sheet {
  return {
    kind: 'grid',
    title: `right: ${from} to ${to}, down: more ${third}`,
    columns: GRID.length,
    cells: GRID.flatMap((down) =>
      GRID.map((right) => ({
        label: `${right.toFixed(2)}, ${down.toFixed(2)}`,
        shards: only(shards, { [from]: (1 - right) * (1 - down), [to]: right * (1 - down), [third]: down }),
      })),
    ),
  };
}

/** The soup, then the soup without each of its shards. */
export function leaveOneOut(shards: readonly Shard[]): Sheet {
  const used = shards.filter(isUsed);
  return {
    kind: 'without',
    title: 'what each shard brings: the soup without it',
    columns: used.length + 1,
    cells: [
      { label: 'all', shards },
      ...used.map(({ id }) => ({
        label: `no ${id}`,
        shards: shards.map((shard) => (shard.id === id ? { ...shard, on: false } : shard)),
      })),
    ],
  };
}

/** Small pictures and where they are: cells of a sheet, A and B, the last pictures. */
import type { Drawn } from './engine/protocol.js';
import { type CellArea, cellAreas, type Layout } from './layout.js';
import { formulaOf } from './state/soup.js';
import { pictureOf, type State, shownOf, wantedOf } from './state/state.js';

const STRIP = 5;

export interface Tile {
  readonly label: string;
  readonly picture?: Drawn;
  readonly area: CellArea;
  readonly isFocused: boolean;
}

/** What is shown where: of the sheet, or of A, B and the strip. Pictures are placed by it, too. */
export function tilesOf(state: State, layout: Layout): readonly Tile[] {
  const { sheet, doc } = state;
  const { other, side: now } = doc.present;
  if (sheet) {
    const areas = cellAreas(layout, sheet.columns, sheet.cells.length, 2);
    return sheet.cells.map(({ label, shards }, i) => {
      const wanted = wantedOf({ ...doc.present, shards });
      const picture = wanted && (pictureOf(state, wanted.full.key) ?? pictureOf(state, wanted.sketch.key));
      return { label, area: areas[i], isFocused: i === state.cell, ...(picture && { picture }) };
    });
  }
  const strip = lastPictures(state, STRIP);
  const areas = cellAreas(layout, STRIP, STRIP, 1);
  if (!other) return strip.map((picture, i) => ({ label: '', picture, area: areas[i], isFocused: false }));
  return [other, doc.present].map((side, i) => {
    const wanted = wantedOf(side);
    const picture = wanted && (pictureOf(state, wanted.full.key) ?? pictureOf(state, wanted.sketch.key));
    const isA = (i === 0) === (now === 'B');
    const label = `${isA ? 'A' : 'B'}${i === 1 ? ' (now)' : ''}: ${formulaOf(side.shards)}`;
    return { label, area: cellAreas(layout, 2, 2, 1)[i], isFocused: i === 1, ...(picture && { picture }) };
  });
}

/** The last pictures in the room below the fields of the kitchen. */
export function stripOf(state: State, layout: Layout): readonly Tile[] {
  const top = kitchenRows(state, layout) + 1;
  const rows = Math.min(MOST_STRIP_ROWS, layout.body - top - 1);
  if (rows < FEWEST_STRIP_ROWS) return [];
  const count = Math.floor((layout.left + 1) / (2 * rows + 1));
  return lastPictures(state, count).map((picture, i) => ({
    label: '',
    picture,
    area: { column: 1 + i * (2 * rows + 1), row: layout.preview.row + top, columns: 2 * rows, rows, hasLabel: false },
    isFocused: false,
  }));
}

/** Where the picture lies that is looked at; undefined where its caption has all of it. */
export function pathShown(state: State, layout: Layout): string | undefined {
  if (state.screen === 'compare') return tilesOf(state, layout).find(({ isFocused }) => isFocused)?.picture?.path;
  if (state.screen !== 'kitchen' && state.screen !== 'blocks') return undefined;
  const path = shownOf(state)?.picture.path;
  return path && path.length > layout.preview.columns ? path : undefined;
}

const MOST_STRIP_ROWS = 6;
const FEWEST_STRIP_ROWS = 4;

const lastPictures = ({ pictures }: State, count: number): readonly Drawn[] =>
  pictures.filter(({ effort }) => effort === 'full').slice(-count);

export const FIELD_ROWS = 4;

/** Rows that the controls of the kitchen take: the shards that fit, the formula, the fields, and the air between. */
export function kitchenRows({ doc }: State, { body, isRoomy }: Layout): number {
  const fixed = FIELD_ROWS + 1 + (isRoomy ? 2 : 0);
  return fixed + Math.max(1, Math.min(body - fixed, doc.present.shards.length));
}

/** Where things are: rectangles for a terminal of any size, from which both the text and the pictures are placed. */
import type { State } from './state/state.js';

export const SMALLEST = { columns: 60, rows: 15 } as const;

export interface Layout {
  readonly width: number;
  /** One row less than the terminal has, so that nothing ever scrolls. */
  readonly height: number;
  /** Between the header and the footer. */
  readonly body: number;
  /** Whether there is room for air between things. */
  readonly isRoomy: boolean;
  /** Columns of the controls. */
  readonly left: number;
  /** The preview: its picture, without the caption below. */
  readonly preview: Area;
}

export interface Area {
  /** From 0, of the terminal. */
  readonly column: number;
  readonly row: number;
  readonly columns: number;
  readonly rows: number;
}

export interface CellArea extends Area {
  readonly hasLabel: boolean;
}

export const HEADER_ROWS = 1;
const FOOTER_ROWS = 3;
export const CAPTION_ROWS = 2;
const MARGIN = 1;
const GAP = 2;
const NARROWEST_LEFT = 36;
const WIDEST_LEFT = 72;

export const isTooSmall = ({ columns, rows }: State['size']): boolean =>
  columns < SMALLEST.columns || rows < SMALLEST.rows;

export function layoutOf({ columns, rows }: State['size']): Layout {
  const [width, height] = [columns, rows - 1];
  const isRoomy = rows >= 22;
  const air = isRoomy ? 2 : 0; // a line below the header and one above the footer
  const body = height - HEADER_ROWS - FOOTER_ROWS - air;
  const inside = width - 2 * MARGIN - GAP;
  const pictureRows = body - CAPTION_ROWS;
  // A square picture takes twice as many columns as rows; what it does not need goes to the controls.
  const right = Math.max(20, Math.min(2 * pictureRows, inside - NARROWEST_LEFT, Math.ceil(inside * 0.6)));
  const left = Math.min(WIDEST_LEFT, inside - right);
  const preview = {
    column: MARGIN + left + GAP,
    row: HEADER_ROWS + (isRoomy ? 1 : 0),
    columns: inside - left,
    rows: pictureRows,
  };
  return { width, height, body, isRoomy, left, preview };
}

/** Cells of a sheet below its title, each with a row below it for its label if there is room; `reserved` rows are for other things. */
export function cellAreas(layout: Layout, columns: number, count: number, reserved: number): readonly CellArea[] {
  const lines = Math.ceil(count / columns);
  const width = Math.floor((layout.width - 2 * MARGIN) / columns) - 1;
  const each = Math.floor((layout.body - reserved) / lines);
  const labels = each > 3 ? 1 : 0; // where there is hardly room for pictures, there is none for words
  const height = each - labels;
  const size = { columns: Math.min(width, 2 * height), rows: Math.max(1, Math.min(height, Math.floor(width / 2))) };
  return Array.from({ length: count }, (_, i) => ({
    column: MARGIN + (i % columns) * (size.columns + 1),
    row: layout.preview.row + 1 + Math.floor(i / columns) * (size.rows + labels),
    ...size,
    hasLabel: labels > 0,
  }));
}

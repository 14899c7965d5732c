/**
 * Puts frames on the terminal: only the lines that changed, each at its place, and never more lines than there are. So
 * nothing scrolls, nothing flickers, and a resize is a new beginning.
 */

/** A picture that the terminal draws itself, over the cells at a place. */
export interface Placement {
  /** From 0. */
  readonly column: number;
  readonly row: number;
  /** Equal for equal pictures of equal size. */
  readonly key: string;
  readonly text: string;
}

export interface Painter {
  paint(frame: string, placements?: readonly Placement[]): void;
  /** The next frame is painted whole. */
  forget(): void;
}

export interface PainterOptions {
  readonly write: (text: string) => void;
  readonly rows: () => number;
  /** What deletes every picture, in protocols whose pictures outlive the text below them. */
  readonly deletePictures?: string;
}

const BEGIN = '\x1b[?2026h'; // synchronised output: terminals that know it show a frame at once
const END = '\x1b[?2026l';
const at = (row: number, column = 0): string => `\x1b[${row + 1};${column + 1}H`;

export function createPainter({ write, rows, deletePictures = '' }: PainterOptions): Painter {
  let before: readonly string[] | undefined;
  let placed = '';
  return {
    paint(frame, placements = []) {
      const lines = frame.split('\n').slice(0, Math.max(1, rows() - 1));
      const changed = lines.flatMap((line, row) => (before?.[row] === line ? [] : [`${at(row)}${line}\x1b[0m\x1b[K`]));
      const gone = (before?.length ?? 0) > lines.length ? `${at(lines.length)}\x1b[J` : '';
      const keys = placements.map(({ key, row, column }) => `${key}@${row},${column}`).join(' ');
      // Text that is written beside a picture may wipe it out, except where pictures are a layer of their own.
      const isStale = keys !== placed || (!deletePictures && changed.length > 0);
      const pictures = isStale ? placements.map(({ row, column, text }) => at(row, column) + text) : [];
      const wiped = keys !== placed ? deletePictures : '';
      const all = [before ? '' : '\x1b[2J', ...changed, gone, wiped, ...pictures].join('');
      before = lines;
      placed = keys;
      if (all !== '') write(`${BEGIN}${all}${END}`);
    },
    forget() {
      before = undefined;
      placed = '';
    },
  };
}

/** For readers of the screen and for terminals that cannot move the cursor: what is new, line after line. */
export function createLinearPainter(write: (text: string) => void): Painter {
  let before = new Set<string>();
  return {
    paint(frame) {
      const lines = frame.split('\n').filter((line) => line.trim() !== '');
      const fresh = lines.filter((line) => !before.has(line));
      before = new Set(lines);
      if (fresh.length > 0) write(`${fresh.join('\r\n')}\r\n`);
    },
    forget() {},
  };
}

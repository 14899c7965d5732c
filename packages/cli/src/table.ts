/** Rows as lines with aligned columns. */
import { stripVTControlCharacters } from 'node:util';

/** `align` has a letter for each column: l or r. */
export function table(rows: readonly (readonly string[])[], align: string): string[] {
  const width = (cell: string) => [...stripVTControlCharacters(cell)].length;
  const widths = [...align].map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const room = ' '.repeat(widths[column]! - width(cell));
        return align[column] === 'r' ? room + cell : cell + room;
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Pictures side by side: a sheet of soups, or A and B; below them the last pictures. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import type { Layout } from '../layout.js';
import type { Sheet } from '../state/sheet.js';
import { formulaOf } from '../state/soup.js';
import type { State } from '../state/state.js';
import { tilesOf } from '../tiles.js';
import { TileView } from './TileView.js';

export function Compare({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { sheet, doc } = state;
  const tiles = tilesOf(state, layout);
  const title = sheet
    ? `${printable(sheet.title)}`
    : doc.present.other
      ? 'A and B'
      : tiles.length > 0
        ? 'The last pictures. Press a to pin the soup as A, w for a sweep between two shards.'
        : 'Nothing to compare yet: draw something first.';
  const columns = sheet?.columns ?? Math.max(1, tiles.length);
  const lines = Array.from({ length: Math.ceil(tiles.length / columns) }, (_, i) =>
    tiles.slice(i * columns, (i + 1) * columns),
  );
  return (
    <Box flexDirection="column" paddingX={1} height={layout.body}>
      <Text dimColor wrap="truncate">
        {title}
      </Text>
      {lines.map((line, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows of a sheet have nothing but their place
        <Box key={i}>
          {line.map((tile, j) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the same
            <TileView key={j} tile={tile} />
          ))}
        </Box>
      ))}
      {sheet && <Chosen state={state} sheet={sheet} />}
    </Box>
  );
}

/** What the cell that has the focus is made of. */
function Chosen({ state, sheet }: { readonly state: State; readonly sheet: Sheet }) {
  const formula = printable(formulaOf(sheet.cells[state.cell]?.shards ?? []));
  return (
    <Text wrap="truncate">
      <Text dimColor>{`${state.cell + 1} of ${sheet.cells.length}, enter takes it: `}</Text>
      {formula}
    </Text>
  );
}

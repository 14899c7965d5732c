/** Pictures side by side: a sheet of soups, or A and B; below them the last pictures. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import type { Drawn } from '../engine/protocol.js';
import { type Area, cellAreas, type Layout } from '../layout.js';
import { pictureLines } from '../picture-text.js';
import { formulaOf } from '../state/soup.js';
import { pictureOf, type State, wantedOf } from '../state/state.js';
import { useTheme } from './theme.js';

export interface Tile {
  readonly label: string;
  readonly picture?: Drawn;
  readonly area: Area;
  readonly isFocused: boolean;
}

/** What is shown where: of the sheet, or of A, B and the strip. Pictures are placed by it, too. */
export function tilesOf(state: State, layout: Layout): readonly Tile[] {
  const { sheet, pinned, doc } = state;
  if (sheet) {
    const areas = cellAreas(layout, sheet.columns, sheet.cells.length, 1);
    return sheet.cells.map(({ label, shards }, i) => {
      const wanted = wantedOf({ shards, picture: doc.present.picture });
      const picture = wanted && (pictureOf(state, wanted.full.key) ?? pictureOf(state, wanted.sketch.key));
      return { label, area: areas[i], isFocused: i === state.cell, ...(picture && { picture }) };
    });
  }
  const strip = state.pictures.filter(({ effort }) => effort === 'full').slice(-STRIP);
  const sides = pinned ? [pinned, doc.present] : [doc.present];
  const areas = cellAreas(layout, STRIP, STRIP, 1);
  if (!pinned) return strip.map((picture, i) => ({ label: '', picture, area: areas[i], isFocused: false }));
  return sides.map((side, i) => {
    const wanted = wantedOf(side);
    const picture = wanted && (pictureOf(state, wanted.full.key) ?? pictureOf(state, wanted.sketch.key));
    const isA = (i === 0) === (state.side === 'B');
    const label = `${isA ? 'A' : 'B'}${i === 1 ? ' (now)' : ''}: ${formulaOf(side.shards)}`;
    return { label, area: cellAreas(layout, 2, 2, 1)[i], isFocused: i === 1, ...(picture && { picture }) };
  });
}

const STRIP = 5;

export function Compare({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { sheet, pinned } = state;
  const tiles = tilesOf(state, layout);
  const title = sheet
    ? `${printable(sheet.title)}`
    : pinned
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
    </Box>
  );
}

function TileView({ tile: { label, picture, area, isFocused } }: { readonly tile: Tile }) {
  const { accent, glyphs, pictures } = useTheme();
  const lines = picture ? pictureLines(picture, area, pictures) : [];
  return (
    <Box flexDirection="column" width={area.columns + 1} height={area.rows + 1}>
      <Box height={area.rows} width={area.columns} flexDirection="column">
        {picture
          ? lines.map((line, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a picture have nothing but their place
              <Text key={i} wrap="truncate">
                {line}
              </Text>
            ))
          : Array.from({ length: area.rows }, (_, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rows of nothing
              <Text key={i} dimColor>
                {glyphs.dot.repeat(area.columns)}
              </Text>
            ))}
      </Box>
      <Box width={area.columns} height={1}>
        <Text color={isFocused ? accent : undefined} bold={isFocused} dimColor={!isFocused} wrap="truncate">
          {isFocused ? `${glyphs.focus} ` : ''}
          {printable(label)}
        </Text>
      </Box>
    </Box>
  );
}

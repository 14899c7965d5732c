import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { pictureLines } from '../picture-text.js';
import type { Tile } from '../tiles.js';
import { useTheme } from './theme.js';

/** A small picture with its label below; dots while it is not drawn yet. */
export function TileView({ tile: { label, picture, area, isFocused } }: { readonly tile: Tile }) {
  const { accent, glyphs, pictures } = useTheme();
  const { columns, rows, hasLabel } = area;
  const lines = picture ? pictureLines(picture, area, pictures) : Array<string>(rows).fill(glyphs.dot.repeat(columns));
  return (
    <Box flexDirection="column" width={columns + 1} height={rows + (hasLabel ? 1 : 0)}>
      <Box height={rows} width={columns} flexDirection="column">
        {lines.map((line, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a picture have nothing but their place
          <Text key={i} wrap="truncate" dimColor={!picture}>
            {line}
          </Text>
        ))}
      </Box>
      {hasLabel && (
        <Text color={isFocused ? accent : undefined} bold={isFocused} dimColor={!isFocused} wrap="truncate">
          {(isFocused ? `${glyphs.focus} ` : '') + printable(label)}
        </Text>
      )}
    </Box>
  );
}

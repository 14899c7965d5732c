import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { pictureLines } from '../picture-text.js';
import type { Tile } from '../tiles.js';
import { useTheme } from './theme.js';

/** A small picture with its label below; dots while it is not drawn yet. */
export function TileView({ tile: { label, picture, area, isFocused } }: { readonly tile: Tile }) {
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

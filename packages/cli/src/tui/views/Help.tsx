/** All keys. */
import { Box, Text } from 'ink';
import type { Layout } from '../layout.js';
import { useTheme } from './theme.js';

const KEYS: readonly (readonly [key: string, what: string])[] = [
  ['↑↓ tab', 'move, or jump between shards and picture'],
  ['←→ < >', 'turn a little; with Shift or < >, a lot'],
  ['0-9 enter', 'type a weight or a value'],
  ['space l', 'shard on or off; lock its weight'],
  ['= n', 'equal weights; scale them to add up to 1'],
  ['+ d', 'add a model by its path; take one off the list'],
  ['u U', 'undo, redo (also Ctrl-Z, Ctrl-R)'],
  ['a A', 'flip between A and B; pin A anew'],
  ['b c s', 'block weights, compare, save'],
  ['w g o', 'in compare: sweep, grid, leave one out'],
  ['p r', 'pause drawing; draw now'],
  ['y', 'copy the command that draws this picture'],
  ['ctrl-c q', 'stop the work, twice quits; quit'],
];

export function Help({ layout }: { readonly layout: Layout }) {
  const { accent } = useTheme();
  const columns = layout.body >= KEYS.length ? 1 : 2;
  const each = Math.ceil(KEYS.length / columns);
  const width = Math.floor((layout.width - 2) / columns);
  return (
    <Box paddingX={1} height={layout.body}>
      {Array.from({ length: columns }, (_, i) => KEYS.slice(i * each, (i + 1) * each)).map((part) => (
        <Box key={part[0][0]} flexDirection="column" width={width}>
          {part.map(([key, what]) => (
            <Text key={key} wrap="truncate-end">
              <Text color={accent}>{key.padEnd(columns === 1 ? 12 : 10)}</Text>
              {what}
            </Text>
          ))}
        </Box>
      ))}
    </Box>
  );
}

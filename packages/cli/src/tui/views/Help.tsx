/** All keys. */
import { Box, Text } from 'ink';
import type { Layout } from '../layout.js';
import type { State } from '../state/state.js';
import { shortPath } from './Preview.js';
import { useTheme } from './theme.js';

export const KEYS: readonly (readonly [key: string, what: string, short: string])[] = [
  ['↑↓ tab', 'move, or jump between shards and picture', 'move, jump'],
  ['←→ < >', 'turn a little; with Shift or < >, a lot', 'turn; < > a lot'],
  ['0-9 enter', 'type a weight or a value', 'type a value'],
  ['space l', 'shard on or off; lock its weight', 'on/off, lock'],
  ['= n', 'equal weights; scale them to add up to 1', 'equal; sum of 1'],
  ['+ d', 'add a model by its path; take one off the list', 'add, take off'],
  ['u U', 'undo, redo (also Ctrl-Z, Ctrl-R)', 'undo, redo'],
  ['a A', 'flip between A and B; pin A anew', 'flip A/B, pin A'],
  ['b c s', 'block weights, compare, save', 'the other screens'],
  ['w g o x', 'in compare: sweep, grid, leave one out, other shards', 'sheets to compare'],
  ['p r', 'pause drawing; draw now', 'pause, draw now'],
  ['y', 'copy the command that draws this picture', 'copy the command'],
  ['ctrl-c q', 'stop the work, twice quits; quit', 'stop, quit'],
];

export function Help({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { accent, keyName } = useTheme();
  const columns = layout.body >= KEYS.length ? 1 : 2;
  const each = Math.ceil(KEYS.length / columns);
  const width = Math.floor((layout.width - 2) / columns);
  return (
    <Box flexDirection="column" paddingX={1} height={layout.body}>
      <Box>
        {Array.from({ length: columns }, (_, i) => KEYS.slice(i * each, (i + 1) * each)).map((part) => (
          <Box key={part[0][0]} flexDirection="column" width={width}>
            {part.map(([key, what, short]) => (
              <Text key={key} wrap="truncate-end">
                <Text color={accent}>{keyName(key).padEnd(columns === 1 ? 12 : 10)}</Text>
                {columns === 1 ? what : short}
              </Text>
            ))}
          </Box>
        ))}
      </Box>
      {state.log !== undefined && (
        <Box marginTop={1}>
          <Text dimColor wrap="truncate-start">{`The log: ${shortPath(state.log)}`}</Text>
        </Box>
      )}
    </Box>
  );
}

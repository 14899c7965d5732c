/** Block weights: a bar for every block of the UNet, from its entrance to its exit, for each shard. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import type { Layout } from '../layout.js';
import { isUsed, MOST_FACTOR, type Shard } from '../state/soup.js';
import { type State, shardAt } from '../state/state.js';
import { Preview } from './Preview.js';
import { useTheme } from './theme.js';

const NAME_COLUMNS = 9;

export function Blocks({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { body, left, preview, isRoomy } = layout;
  const { names, at } = state.blocks;
  const { shards } = state.doc.present;
  const focused = shardAt(state);
  const room = body - (isRoomy ? 5 : 4);
  const used = shards.filter((shard) => isUsed(shard) || shard === focused);
  const columns = Math.min(3, Math.max(1, Math.floor((left - NAME_COLUMNS - 3) / Math.max(1, names.length))));
  const first = Math.max(0, Math.min(used.length - room, used.indexOf(focused!) - Math.floor(room / 2)));
  return (
    <Box paddingX={1} height={body}>
      <Box flexDirection="column" width={left}>
        {names.length === 0 ? (
          <Text dimColor>Blocks are known once a soup is loaded: put a shard in first.</Text>
        ) : (
          <>
            <Ruler names={names} columns={columns} />
            {used.slice(first, first + room).map((shard) => (
              <BlockRow key={shard.id} shard={shard} {...{ names, at, columns }} isFocused={shard === focused} />
            ))}
            <Box height={isRoomy ? 1 : 0} />
            <Text wrap="truncate">{factorLine(focused, names[at])}</Text>
            <Text dimColor wrap="truncate">
              {'  Factors scale a shard by block.'}
            </Text>
          </>
        )}
      </Box>
      <Box width={2} />
      <Preview state={state} area={preview} />
    </Box>
  );
}

/** In, middle and out are set apart, as the bars are. */
function Ruler({ names, columns }: { readonly names: readonly string[]; readonly columns: number }) {
  const widths = ['BASE', 'IN', 'M', 'OUT'].map(
    (group) => columns * names.filter((name) => groupOf(name) === group).length,
  );
  const labels = ['b', 'in', 'm', 'out'].map((label, i) => label.padEnd(widths[i]).slice(0, widths[i]));
  return (
    <Text dimColor wrap="truncate">
      {' '.repeat(NAME_COLUMNS) + labels.join(' ')}
    </Text>
  );
}

interface BlockRowProps {
  readonly shard: Shard;
  readonly names: readonly string[];
  readonly at: number;
  /** Of a bar, with the gap behind it. */
  readonly columns: number;
  readonly isFocused: boolean;
}

function BlockRow({ shard, names, at, columns, isFocused }: BlockRowProps) {
  const { accent, glyphs } = useTheme();
  const bar = (name: string) => {
    const share = Math.min(1, (shard.blocks[name] ?? 1) / MOST_FACTOR);
    return glyphs.bars[Math.round(share * (glyphs.bars.length - 1))].repeat(Math.max(1, columns - 1));
  };
  return (
    <Text wrap="truncate">
      <Text color={isFocused ? accent : undefined} bold={isFocused}>
        {`${isFocused ? glyphs.focus : ' '} ${printable(shard.id)}`.slice(0, NAME_COLUMNS - 1).padEnd(NAME_COLUMNS)}
      </Text>
      {names.map((name, i) => (
        <Text key={name}>
          {startsGroup(names, i) ? ' ' : ''}
          <Text color={isFocused ? accent : undefined} inverse={isFocused && i === at} dimColor={!isFocused}>
            {bar(name)}
          </Text>
          {columns > 1 ? ' ' : ''}
        </Text>
      ))}
    </Text>
  );
}

const groupOf = (name: string): string => name.replace(/\d+$/, '');

const startsGroup = (names: readonly string[], i: number): boolean =>
  i > 0 && groupOf(names[i]) !== groupOf(names[i - 1]);

function factorLine(shard: Shard | undefined, name: string): string {
  return shard
    ? `  ${name} of ${printable(shard.id)}: ${(shard.blocks[name] ?? 1).toFixed(2)}`
    : '  Tab chooses a shard.';
}

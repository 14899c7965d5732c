/** The shards with their sliders; of more than fit, those around the focus. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { type Shard, shareOf, shownWeight } from '../state/soup.js';
import type { State } from '../state/state.js';
import { EditLine } from './EditLine.js';
import { Slider } from './Slider.js';
import { useTheme } from './theme.js';

export interface ShardListProps {
  readonly state: State;
  readonly width: number;
  readonly rows: number;
}

const WEIGHT_COLUMNS = 7;
const SHARE_COLUMNS = 5;
const LONGEST_NAME = 24;
const SHORTEST_SLIDER = 8;

export function ShardList({ state, width, rows }: ShardListProps) {
  const { shards } = state.doc.present;
  const others = WEIGHT_COLUMNS + SHARE_COLUMNS + 6;
  const names = Math.min(
    LONGEST_NAME,
    width - others - SHORTEST_SLIDER,
    Math.max(4, ...shards.map(({ id }) => printable(id).length)),
  );
  const first = firstShown(state.row, shards.length, rows);
  if (shards.length === 0) {
    return (
      <Box height={1} width={width}>
        <Text wrap="truncate">{'  Empty pantry: + adds a model.'}</Text>
      </Box>
    );
  }
  return (
    <Box flexDirection="column" height={rows} width={width}>
      {shards.slice(first, first + rows).map((shard, i) => (
        <ShardRow key={shard.id} {...{ state, shard, names, width }} isFocused={state.row === first + i} />
      ))}
    </Box>
  );
}

function firstShown(focus: number, count: number, rows: number): number {
  if (count <= rows) return 0;
  return Math.min(count - rows, Math.max(0, Math.min(focus, count - 1) - Math.floor(rows / 2)));
}

interface ShardRowProps {
  readonly state: State;
  readonly shard: Shard;
  readonly names: number;
  readonly width: number;
  readonly isFocused: boolean;
}

function ShardRow({ state, shard, names, width, isFocused }: ShardRowProps) {
  const { accent, bad, glyphs } = useTheme();
  const { id, on, weight, locked } = shard;
  const problem = state.inspected[id]?.problem;
  const share = shareOf(shard, state.doc.present.shards);
  const slider = width - names - WEIGHT_COLUMNS - SHARE_COLUMNS - 6;
  const { editing } = state;
  const mark = problem ? glyphs.bad : on ? (locked ? glyphs.lock : glyphs.on) : glyphs.off;
  return (
    <Box width={width} height={1}>
      <Text color={isFocused ? accent : undefined}>{isFocused ? glyphs.focus : ' '} </Text>
      <Text color={problem ? bad : on ? accent : undefined} dimColor={!on && !problem}>
        {mark}{' '}
      </Text>
      <Box width={names + 1}>
        <Text bold={isFocused} dimColor={!on && !isFocused} wrap="truncate-end">
          {printable(id)}
        </Text>
      </Box>
      <Slider value={weight} width={slider} isFocused={isFocused} isOff={!on} />
      <Box width={WEIGHT_COLUMNS + 1} justifyContent="flex-end">
        {isFocused && editing?.target === 'weight' ? (
          <EditLine line={editing.line} width={WEIGHT_COLUMNS} />
        ) : (
          <Text dimColor={!on}>{on ? shownWeight(weight) : 'off'}</Text>
        )}
      </Box>
      <Box width={SHARE_COLUMNS} justifyContent="flex-end">
        <Text dimColor>{share === undefined ? '' : `${Math.round(100 * share)}%`}</Text>
      </Box>
    </Box>
  );
}

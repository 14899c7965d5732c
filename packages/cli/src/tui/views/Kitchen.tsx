/** The main screen: the shards and how much of each, how the picture is drawn, and the picture. */
import { Box, Text } from 'ink';
import type { Layout } from '../layout.js';
import type { State } from '../state/state.js';
import { EditLine } from './EditLine.js';
import { FIELD_ROWS, Fields } from './Fields.js';
import { Formula } from './Formula.js';
import { Preview } from './Preview.js';
import { ShardList } from './ShardList.js';

export function Kitchen({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { body, left, preview, isRoomy } = layout;
  const air = isRoomy ? 1 : 0;
  const room = body - FIELD_ROWS - 1 - 2 * air;
  const { editing } = state;
  const { shards } = state.doc.present;
  const rows = Math.max(1, Math.min(room, shards.length));
  return (
    <Box paddingX={1} height={body}>
      <Box flexDirection="column" width={left}>
        <ShardList state={state} width={left} rows={rows} />
        <Box height={air} />
        {editing?.target === 'shard' ? (
          <Box height={1}>
            <Text bold>{'  path of a model: '}</Text>
            <EditLine line={editing.line} width={left - 19} />
          </Box>
        ) : (
          <Formula shards={shards} width={left} />
        )}
        <Box height={air} />
        <Fields state={state} width={left} />
      </Box>
      <Box width={2} />
      <Preview state={state} area={preview} />
    </Box>
  );
}

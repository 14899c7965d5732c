/** The main screen: the shards and how much of each, how the picture is drawn, and the picture. */
import { Box, Text } from 'ink';
import type { Layout } from '../layout.js';
import type { State } from '../state/state.js';
import { FIELD_ROWS, kitchenRows, stripOf } from '../tiles.js';
import { EditLine } from './EditLine.js';
import { Fields } from './Fields.js';
import { Formula } from './Formula.js';
import { Preview } from './Preview.js';
import { ShardList } from './ShardList.js';
import { TileView } from './TileView.js';

export function Kitchen({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { body, left, preview, isRoomy } = layout;
  const air = isRoomy ? 1 : 0;
  const strip = stripOf(state, layout);
  const { editing } = state;
  const { shards } = state.doc.present;
  const rows = kitchenRows(state, layout) - FIELD_ROWS - 1 - 2 * air;
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
        {strip.length > 0 && (
          <Box marginTop={1}>
            {strip.map((tile) => (
              <TileView key={tile.picture?.key} tile={tile} />
            ))}
          </Box>
        )}
      </Box>
      <Box width={2} />
      <Preview state={state} area={preview} />
    </Box>
  );
}

/** What can be kept of a soup: its recipe, its weights, its picture, and the command that makes it again. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { commandOf } from '../command-line.js';
import type { Kept } from '../engine/protocol.js';
import type { Layout } from '../layout.js';
import { formulaOf } from '../state/soup.js';
import { type KeepTarget, type State, shardAt } from '../state/state.js';
import { EditLine } from './EditLine.js';
import { shortPath } from './Preview.js';
import { useTheme } from './theme.js';

export function Keep({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { accent } = useTheme();
  const { editing } = state;
  const { present } = state.doc;
  const width = layout.width - 2;
  const shard = printable(shardAt(state)?.id ?? 'a shard');
  const choices: readonly (readonly [KeepTarget | 'command', title: string, about: string])[] = [
    ['recipe', 'Recipe', 'a YAML file; soup merge and soup tui take it'],
    ['checkpoint', 'Checkpoint', 'the weights as a diffusers folder, as soup merge writes it'],
    ['picture', 'Picture', 'a PNG that says how it was made'],
    ['command', 'Command', 'to the clipboard: what to type to draw this picture'],
    ['add', 'Add', `${shard} to a soup on the disk, by its ledger`],
    ['remove', 'Remove', `${shard} from a soup on the disk, with a receipt`],
  ];
  const air = layout.isRoomy ? 1 : 0;
  const room = layout.body - choices.length - 3 - 2 * air;
  const kept = state.kept.flatMap(linesOf).slice(-room);
  return (
    <Box flexDirection="column" paddingX={1} height={layout.body}>
      <Text wrap="truncate">
        <Text dimColor>Save </Text>
        <Text bold>{printable(formulaOf(present.shards)) || 'nothing yet'}</Text>
      </Text>
      <Box height={air} />
      {choices.map(([target, title, about], i) => (
        <Box key={target} width={width} height={1}>
          <Box width={14} flexShrink={0}>
            <Text>
              <Text color={accent}>{i + 1}</Text> <Text bold={editing?.target === target}>{title}</Text>
            </Text>
          </Box>
          {editing?.target === target ? (
            <EditLine line={editing.line} width={width - 14} />
          ) : (
            <Text dimColor wrap="truncate-end">
              {about}
            </Text>
          )}
        </Box>
      ))}
      <Box height={air} />
      <Box width={width} height={2}>
        <Text dimColor>$ {commandOf(present)}</Text>
      </Box>
      {kept.map(([what, text], i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of a log have nothing but their place
        <Text key={i} wrap="truncate">
          <Text color={accent}>{what.padEnd(8)} </Text>
          {text}
        </Text>
      ))}
    </Box>
  );
}

const linesOf = ({ what, path, root, receipt }: Kept): readonly (readonly [string, string])[] => [
  [printable(what), shortPath(path)],
  ...(root ? [['  root', root] as const] : []),
  ...(receipt ? [['  receipt', shortPath(receipt)] as const] : []),
];

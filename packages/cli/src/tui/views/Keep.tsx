/** What can be kept of a soup: its recipe, its weights, its picture, and the command that makes it again. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { commandOf } from '../command-line.js';
import type { Kept } from '../engine/protocol.js';
import type { Layout } from '../layout.js';
import { formulaOf } from '../state/soup.js';
import { type KeepTarget, type State, shardAt } from '../state/state.js';
import { characters } from '../state/text-line.js';
import { EditLine } from './EditLine.js';
import { shortPath } from './Preview.js';
import { useTheme } from './theme.js';

const KEPT_COLUMNS = 10;

export function Keep({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { accent } = useTheme();
  const { editing } = state;
  const { present } = state.doc;
  const width = layout.width - 2;
  const shard = printable(shardAt(state)?.id ?? 'a shard');
  const choices = choicesOf(shard);
  const air = layout.isRoomy ? 1 : 0;
  // What was kept is of more interest than the command, which is to be had by its key.
  const isTight = !layout.isRoomy && state.kept.length > 0;
  const room = layout.body - choices.length - (isTight ? 1 : 3) - 2 * air;
  const kept = state.kept.flatMap((one) => linesOf(one, width - KEPT_COLUMNS)).slice(-room);
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
      {!isTight && (
        <Box width={width} height={2}>
          <Text dimColor>$ {commandOf(present)}</Text>
        </Box>
      )}
      {kept.map(([what, text], i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of a log have nothing but their place
        <Text key={i} wrap="truncate">
          <Text color={accent}>{what.padEnd(KEPT_COLUMNS - 1)} </Text>
          {text}
        </Text>
      ))}
    </Box>
  );
}

type Choice = readonly [target: KeepTarget | 'command', title: string, about: string];

/** In the order of their keys. */
export const choicesOf = (shard: string): readonly Choice[] => [
  ['recipe', 'Recipe', 'a YAML file; soup merge and soup tui take it'],
  ['checkpoint', 'Checkpoint', 'the weights as a diffusers folder, as soup merge writes it'],
  ['picture', 'Picture', 'a PNG that says how it was made'],
  ['command', 'Command', 'to the clipboard: what to type to draw this picture'],
  ['add', 'Add', `${shard} to a soup on the disk, by its ledger`],
  ['remove', 'Remove', `${shard} from a soup on the disk, with a receipt`],
];

/** What was kept, with hashes and paths whole: over several lines where they are longer than one. */
export const linesOf = (
  { what, path, root, receipt }: Kept,
  width = Number.POSITIVE_INFINITY,
): readonly (readonly [string, string])[] => [
  ...folded(printable(what), shortPath(path), width),
  ...(root ? folded('  root', root, width) : []),
  ...(receipt ? folded('  receipt', shortPath(receipt), width) : []),
];

function folded(what: string, text: string, width: number): readonly (readonly [string, string])[] {
  const all = characters(text);
  const lines = Array.from({ length: Math.max(1, Math.ceil(all.length / width)) }, (_, i) =>
    all.slice(i * width, (i + 1) * width).join(''),
  );
  return lines.map((line, i) => [i === 0 ? what : '', line]);
}

/** What can be kept of a soup: its recipe, its weights, its picture, and the command that makes it again. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { commandOf } from '../command-line.js';
import type { Layout } from '../layout.js';
import { formulaOf } from '../state/soup.js';
import type { KeepTarget, State } from '../state/state.js';
import { EditLine } from './EditLine.js';
import { shortPath } from './Preview.js';
import { useTheme } from './theme.js';

const CHOICES: readonly (readonly [KeepTarget | 'command', title: string, about: string])[] = [
  ['recipe', 'Recipe', 'a YAML file; soup merge and soup tui take it'],
  ['checkpoint', 'Checkpoint', 'the weights as a diffusers folder, as soup merge writes it'],
  ['picture', 'Picture', 'a PNG that says how it was made'],
  ['command', 'Command', 'to the clipboard: what to type to draw this picture'],
];

export function Keep({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  const { accent } = useTheme();
  const { editing } = state;
  const width = layout.width - 2;
  const kept = state.kept.slice(-(layout.body - 9));
  return (
    <Box flexDirection="column" paddingX={1} height={layout.body}>
      <Text wrap="truncate">
        <Text dimColor>Save </Text>
        <Text bold>{printable(formulaOf(state.doc.present.shards)) || 'nothing yet'}</Text>
      </Text>
      <Box height={layout.isRoomy ? 1 : 0} />
      {CHOICES.map(([target, title, about], i) => (
        <Box key={target} width={width} height={1}>
          <Text>
            <Text color={accent}>{i + 1}</Text> {title.padEnd(11)}
          </Text>
          {editing?.target === target ? (
            <EditLine line={editing.line} width={width - 14} />
          ) : (
            <Text dimColor wrap="truncate-end">
              {about}
            </Text>
          )}
        </Box>
      ))}
      <Box height={layout.isRoomy ? 1 : 0} />
      <Box width={width} height={2}>
        <Text dimColor>$ {commandOf(state.doc.present)}</Text>
      </Box>
      {kept.map((one) => (
        <Text key={'path' in one ? one.path : one.folder} wrap="truncate">
          <Text color={accent}>saved </Text>
          {'path' in one ? shortPath(one.path) : `${shortPath(one.folder)}  sha256 ${hashOf(one)}`}
        </Text>
      ))}
    </Box>
  );
}

/** Of the UNet, which is what souping is about, or of the largest part there is. */
function hashOf({ files }: Extract<State['kept'][number], { folder: string }>): string {
  const file = files.find(({ path }) => path.startsWith('unet/') && path.endsWith('.safetensors')) ?? files[0];
  return file ? `${file.sha256} ${file.path}` : '';
}

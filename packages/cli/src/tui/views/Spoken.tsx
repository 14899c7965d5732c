/** The screen in sentences, for readers of it and for terminals that cannot move the cursor: no bars, no columns. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { commandOf } from '../command-line.js';
import { hintsOf } from '../keys.js';
import { layoutOf } from '../layout.js';
import { shownField } from '../state/picture.js';
import { formulaOf, type Shard, shareOf, sumOf } from '../state/soup.js';
import { fieldAt, type Screen, type State, shardAt, shownOf } from '../state/state.js';
import { tilesOf } from '../tiles.js';
import { VERBS } from './Frame.js';
import { KEYS } from './Help.js';
import { choicesOf, linesOf } from './Keep.js';
import { useTheme } from './theme.js';

const NAMES: Readonly<Record<Screen, string>> = {
  kitchen: 'Kitchen',
  blocks: 'Block weights',
  compare: 'Compare',
  keep: 'Save',
  help: 'Keys',
};

export function Spoken({ state }: { readonly state: State }) {
  const { keyName } = useTheme();
  return (
    <Box flexDirection="column">
      {spokenLines(state, keyName).map((line) => (
        <Text key={line}>{printable(line)}</Text>
      ))}
    </Box>
  );
}

/** Only lines that change are said again, so each line is about one thing; of work its stages are said, not its steps. */
export function spokenLines(state: State, keyName: (key: string) => string = (key) => key): readonly string[] {
  const { screen, doc, editing, notice, machine, inspected, isLeaving } = state;
  const { shards } = doc.present;
  const problem = notice ? undefined : inspected[shardAt(state)?.id ?? '']?.problem;
  const hints = hintsOf(state).map(([key, what]) => `${keyName(key)} ${what}`);
  const lines = [
    `Models: ${shards.map(({ id }) => id).join(', ') || 'none, + adds one'}.`,
    ...(machine ? [`GPU: ${machine.adapter}, ${machine.precision}.`] : []),
    `${NAMES[screen]}. Keys: ${hints.join(', ')}.`,
    ...(screen === 'kitchen' || screen === 'blocks' ? [soupLine(state)] : []),
    ...linesOn(state, keyName),
    ...(editing ? [`Typing ${editing.target}: ${editing.line.text}`] : []),
    ...workLine(state),
    ...(notice ? [`${notice.kind === 'problem' ? 'Problem: ' : ''}${notice.text}`] : []),
    ...(problem ? [`Problem: ${problem}`] : []),
    ...(state.isPaused ? ['Paused.'] : []),
    ...(isLeaving ? ['Ctrl-C again quits; any other key stays.'] : []),
  ];
  return [...new Set(lines)];
}

function soupLine({ doc }: State): string {
  const { shards } = doc.present;
  const formula = formulaOf(shards);
  return formula === '' ? 'The soup is empty.' : `The soup: ${formula}, sum ${sumOf(shards)}.`;
}

function linesOn(state: State, keyName: (key: string) => string): readonly string[] {
  const { doc, blocks } = state;
  const [shard, field] = [shardAt(state), fieldAt(state)];
  switch (state.screen) {
    case 'kitchen':
      return [
        ...(shard ? [shardLine(shard, doc.present.shards)] : []),
        ...(field ? [`${field}: ${shownField(doc.present.picture, field) || 'none'}`] : []),
        ...pictureLine(state),
      ];
    case 'blocks': {
      const name = blocks.names[blocks.at];
      if (!shard || name === undefined) return ['Blocks are known once a soup is loaded.'];
      return [`Block ${name} of ${shard.id}: ${shard.blocks[name] ?? 1}.`, ...pictureLine(state)];
    }
    case 'compare':
      return compareLines(state);
    case 'keep':
      return [
        ...choicesOf(shard?.id ?? 'a shard').map(([, title, about], i) => `${i + 1} ${title}: ${about}`),
        `The command: ${commandOf(doc.present)}`,
        ...state.kept.flatMap((one) => linesOf(one)).map(([what, text]) => `${what.trim()}: ${text}`),
      ];
    case 'help':
      return [
        ...KEYS.map(([key, what]) => `${keyName(key)}: ${what}`),
        ...(state.log ? [`The log: ${state.log}`] : []),
      ];
  }
}

function shardLine(shard: Shard, shards: readonly Shard[]): string {
  const { id, on, weight, locked } = shard;
  const share = shareOf(shard, shards);
  const parts = on ? ['on', `weight ${weight}`, `${Math.round(100 * (share ?? 0))} percent`] : ['off'];
  return `${id}: ${[...parts, ...(locked ? ['locked'] : [])].join(', ')}.`;
}

function pictureLine(state: State): readonly string[] {
  const shown = shownOf(state);
  if (!shown) return [];
  const { picture, isCurrent } = shown;
  const what = isCurrent
    ? picture.effort === 'sketch'
      ? 'A sketch'
      : 'The picture'
    : 'The picture of an earlier soup';
  const side = state.doc.present.other ? `, side ${state.doc.present.side}` : '';
  return [`${what}${side}: ${picture.path}`];
}

function compareLines(state: State): readonly string[] {
  const { sheet, doc } = state;
  if (!sheet && !doc.present.other) return ['Nothing side by side yet.'];
  const tiles = tilesOf(state, layoutOf(state.size));
  const all = tiles.map(({ label, picture }) => `${label}: ${picture?.path ?? 'not drawn yet'}`);
  const chosen = sheet?.cells[state.cell];
  return [
    sheet ? sheet.title : 'A and B',
    ...all,
    ...(chosen ? [`Chosen: ${chosen.label}, ${formulaOf(chosen.shards)}`] : []),
  ];
}

function workLine({ work }: State): readonly string[] {
  if (!work) return ['Ready.'];
  const { phase, part, effort, total } = work;
  const steps = phase === 'drawing' ? [`${total} steps`] : [];
  const what = part ? ` the ${part}` : effort === 'sketch' ? ' a sketch' : effort === 'full' ? ' the picture' : '';
  return [`${[VERBS[phase] + what, ...steps].join(', ')}.`];
}

/** What surrounds every screen: its name above; what is going on, the machine and the keys below. */
import { formatBytes } from '@diffusion-soup/core';
import { StatusMessage } from '@inkjs/ui';
import { Box, Text } from 'ink';
import { formatSeconds } from '../../progress.js';
import { printable } from '../../text.js';
import type { Phase } from '../engine/protocol.js';
import { hintsOf } from '../keys.js';
import { layoutOf } from '../layout.js';
import type { Notice, Screen, State } from '../state/state.js';
import { pathShown } from '../tiles.js';
import { shortPath } from './Preview.js';
import { useTheme } from './theme.js';

const TABS: readonly (readonly [Screen, key: string, name: string])[] = [
  ['kitchen', '', 'Kitchen'],
  ['blocks', 'b', 'Blocks'],
  ['compare', 'c', 'Compare'],
  ['keep', 's', 'Save'],
  ['help', '?', 'Keys'],
];

export function Header({ screen, width }: { readonly screen: Screen; readonly width: number }) {
  const { accent } = useTheme();
  return (
    <Box width={width} height={1} paddingX={1} justifyContent="space-between">
      <Text bold>{width < 66 ? 'Soup' : 'Diffusion Soup'}</Text>
      <Text wrap="truncate">
        {TABS.map(([name, key, title]) => (
          <Text key={name}>
            {'  '}
            {name === screen ? (
              <Text bold underline color={accent}>
                {title}
              </Text>
            ) : (
              <Text dimColor>{key ? `${key} ${title}` : title}</Text>
            )}
          </Text>
        ))}
      </Text>
    </Box>
  );
}

export const VERBS: Readonly<Record<Phase, string>> = {
  opening: 'opening the GPU',
  loading: 'loading',
  blending: 'blending',
  drawing: 'drawing',
  decoding: 'decoding',
  writing: 'writing',
};

const BAR_COLUMNS = 16;

/** What there is to say, if it needs both lines: then the machine is of less interest. */
export function wordsOf(state: State, width: number): Notice | undefined {
  const { work, notice } = state;
  if (notice) {
    const isLong = printable(notice.text).length > width - MARK_COLUMNS;
    return notice.kind === 'problem' || (isLong && !work) ? notice : undefined;
  }
  const text = work ? undefined : focusedProblem(state);
  return text === undefined ? undefined : { kind: 'problem', text };
}

/** Its mark, and the space around it. */
const MARK_COLUMNS = 4;

export function Words({ kind, text, width, rows }: Notice & { readonly width: number; readonly rows: number }) {
  return (
    <Box height={rows} width={width} paddingX={1} overflow="hidden">
      <StatusMessage variant={kind === 'problem' ? 'error' : 'info'}>{printable(text).trim()}</StatusMessage>
    </Box>
  );
}

/** What is being done, or what there is to say. */
export function WorkLine({ state, width }: { readonly state: State; readonly width: number }) {
  const { accent, glyphs } = useTheme();
  const { work, notice } = state;
  if (notice && !work) return <Words {...notice} width={width} rows={1} />;
  if (!work) return <RestLine state={state} />;
  const share = work.total > 0 ? work.done / work.total : 0;
  const full = Math.round(BAR_COLUMNS * Math.min(1, share));
  return (
    <Text wrap="truncate-end">
      {' '}
      <Text color={accent}>{glyphs.full.repeat(full)}</Text>
      <Text dimColor>{glyphs.empty.repeat(BAR_COLUMNS - full)}</Text>
      {` ${workText(state)}`}
    </Text>
  );
}

/** Where the picture lies, which hardly ever fits below it. */
function RestLine({ state }: { readonly state: State }) {
  const { glyphs } = useTheme();
  const found = pathShown(state, layoutOf(state.size));
  const path = found === undefined ? '' : shortPath(found);
  const what = state.isPaused ? 'paused: r draws, p goes on' : 'ready';
  const both = path === '' ? what : `${what} ${glyphs.dot} ${path}`;
  const isRoom = state.isPaused || both.length < state.size.columns;
  return <Text dimColor wrap="truncate-start">{` ${isRoom ? both : path}`}</Text>;
}

function workText({ work, secondsPerStep }: State): string {
  if (work?.words) return printable(work.words);
  const { phase, part, done, total, effort } = work!;
  const steps = phase === 'drawing' || phase === 'decoding';
  const left = phase === 'drawing' && secondsPerStep ? [`${formatSeconds(secondsPerStep * (total - done))} left`] : [];
  const amount =
    total === 0
      ? []
      : [
          phase === 'decoding'
            ? `${total} steps done`
            : steps
              ? `step ${done} of ${total}`
              : `${formatBytes(done)} of ${formatBytes(total)}`,
        ];
  const what = [VERBS[phase], ...(part ? [`the ${part}`] : steps && effort === 'sketch' ? ['a sketch'] : [])];
  return [what.join(' '), ...amount, ...left].join(', ');
}

/** Why the shard that has the focus does not go with the others. */
function focusedProblem({ doc, row, inspected }: State): string | undefined {
  const shard = doc.present.shards[row];
  return shard && inspected[shard.id]?.problem;
}

export function MachineLine({ state, width }: { readonly state: State; readonly width: number }) {
  const { glyphs } = useTheme();
  const { machine, memory, secondsPerStep, work, notice } = state;
  // While the line above tells of the work, there is no other place for this.
  const problem = focusedProblem(state);
  const said = notice ?? (problem === undefined ? undefined : ({ kind: 'problem', text: problem } as const));
  if (work && said) return <Words {...said} width={width} rows={1} />;
  const gap = ` ${glyphs.dot} `;
  const facts = [
    ...(machine ? [machine.precision] : []),
    ...(memory ? [memoryText(memory, width)] : []),
    ...(secondsPerStep === undefined ? [] : [`${secondsPerStep.toFixed(2)} s/step`]),
    ...(machine ? [`queue ${work?.queue ?? 0}`] : []),
  ].join(gap);
  // The adapter's name is as long as its makers like; what it does not leave room for matters more.
  const name = printable(machine?.adapter ?? 'looking for a GPU').slice(0, width - facts.length - gap.length - 2);
  return (
    <Text dimColor wrap="truncate-end">
      {` ${[name, facts].filter(Boolean).join(gap)}`}
    </Text>
  );
}

const memoryText = ({ used, budget }: NonNullable<State['memory']>, width: number): string =>
  formatBytes(used) + (Number.isFinite(budget) && width > 70 ? ` of ${formatBytes(budget)}` : '');

/** As many hints as fit; the last one, which tells of all others, always. */
export function Hints({ state, width }: { readonly state: State; readonly width: number }) {
  const { accent, keyName } = useTheme();
  if (state.isLeaving) return <Text> Ctrl-C again quits; any other key stays</Text>;
  const all = hintsOf(state).map(([key, what]) => [keyName(key), what] as const);
  const last = all.at(-1)!;
  const size = ([key, what]: readonly [string, string]) => key.length + what.length + 3;
  const shown: (readonly [string, string])[] = [];
  let room = width - 1 - size(last);
  for (const hint of all.slice(0, -1)) {
    room -= size(hint);
    if (room < 0) break;
    shown.push(hint);
  }
  return (
    <Text wrap="truncate">
      {[...shown, last].map(([key, what], i) => (
        <Text key={key}>
          {i === 0 ? ' ' : '  '}
          <Text color={accent}>{key}</Text> <Text dimColor>{what}</Text>
        </Text>
      ))}
    </Text>
  );
}

/** States and frames for tests of the kitchen in the terminal. */
import { stripVTControlCharacters } from 'node:util';
import { renderToString } from 'ink';
import type { Drawn } from '../../packages/cli/src/tui/engine/protocol.ts';
import { type Action, reduce } from '../../packages/cli/src/tui/state/reducer.ts';
import { newShard, type Shard } from '../../packages/cli/src/tui/state/soup.ts';
import { type Beginning, initialState, type State } from '../../packages/cli/src/tui/state/state.ts';
import { App } from '../../packages/cli/src/tui/views/App.tsx';
import { type Theme, themeOf } from '../../packages/cli/src/tui/views/theme.tsx';

export const shard = (id: string, weight?: number, more: Partial<Shard> = {}): Shard => ({
  ...newShard(id),
  ...(weight !== undefined && { on: true, weight }),
  ...more,
});

export const SHARDS: readonly Shard[] = [shard('noto', 0.6), shard('ink', 0.4), shard('fluent'), shard('twemoji')];

export const begin = (more: Partial<Beginning> = {}): State =>
  initialState({ shards: SHARDS, size: { columns: 80, rows: 24 }, ...more });

export const acted = (state: State, ...actions: readonly Action[]): State => actions.reduce(reduce, state);

export const PLAIN: Theme = themeOf({ NO_COLOR: '1' }, 'ascii');

/** The screen of a state, without colours; spaces at the ends of lines do not count. */
export function frameOf(state: State, theme: Theme = PLAIN): string {
  const frame = renderToString(<App state={state} theme={theme} />, { columns: state.size.columns });
  return stripVTControlCharacters(frame)
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

export function frameLines(state: State): string[] {
  return frameOf(state).split('\n');
}

/** Grey from dark to bright, from the left to the right. */
export function drawn(key: string, more: Partial<Drawn> = {}): Drawn {
  const side = 16;
  const pixels = new Uint8Array(side * side * 4);
  for (let i = 0; i < side * side; i++) pixels.fill(Math.floor(((i % side) / side) * 256), i * 4, i * 4 + 3);
  for (let i = 0; i < side * side; i++) pixels[i * 4 + 3] = 255;
  const image = { width: side, height: side, pixels };
  return { key, effort: 'full', image, path: `/pictures/${key}.png`, seconds: 1.25, ...more };
}

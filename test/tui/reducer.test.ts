/** Keys and what becomes of them: through the keymap and the reducer, without a terminal. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hintsOf, type Meaning, meaningOf, type Press } from '../../packages/cli/src/tui/keys.ts';
import { type Action, reduce } from '../../packages/cli/src/tui/state/reducer.ts';
import type { State } from '../../packages/cli/src/tui/state/state.ts';
import { acted, begin, drawn, SHARDS, shard } from './support.tsx';
import '../support/properties.ts';

const NAMED: Record<string, Press> = {
  up: { input: '', upArrow: true },
  down: { input: '', downArrow: true },
  left: { input: '', leftArrow: true },
  right: { input: '', rightArrow: true },
  'shift-left': { input: '', leftArrow: true, shift: true },
  'shift-right': { input: '', rightArrow: true, shift: true },
  enter: { input: '', return: true },
  esc: { input: '', escape: true },
  tab: { input: '', tab: true },
  backspace: { input: '', delete: true },
  'ctrl-c': { input: 'c', ctrl: true },
  'ctrl-r': { input: 'r', ctrl: true },
  'ctrl-w': { input: 'w', ctrl: true },
  'ctrl-a': { input: 'a', ctrl: true },
};

const pressOf = (name: string): Press => NAMED[name] ?? { input: name };

/** The state after keys; what reaches beyond it is only noted. */
function typed(state: State, ...names: string[]): State {
  return names.reduce((now, name) => {
    const meaning = meaningOf(now, pressOf(name));
    return meaning && !['quit', 'interrupt', 'copy'].includes(meaning.type) ? reduce(now, meaning as Action) : now;
  }, state);
}

const meant = (state: State, name: string): Meaning | undefined => meaningOf(state, pressOf(name));
const present = (state: State) => state.doc.present;
const weightsIn = (state: State) => present(state).shards.map(({ on, weight }) => (on ? weight : 0));

describe('in the kitchen', () => {
  test('arrows turn the shard that has the focus, and Shift turns it more', () => {
    expect(weightsIn(typed(begin(), 'right', 'right', 'shift-left'))).toEqual([0.52, 0.4, 0, 0]);
    expect(weightsIn(typed(begin(), 'down', '>', '<', '<'))).toEqual([0.6, 0.3, 0, 0]);
  });

  test('a number is typed into the shard that has the focus', () => {
    expect(weightsIn(typed(begin(), 'down', '1', '/', '4', 'enter'))).toEqual([0.6, 0.25, 0, 0]);
    expect(weightsIn(typed(begin(), 'enter', 'backspace', '5', 'enter'))).toEqual([0.5, 0.4, 0, 0]);
    const wrong = typed(begin(), '7', 'x', 'enter');
    expect(wrong.notice).toMatchObject({ kind: 'problem', text: expect.stringContaining('"7x"') });
    expect(wrong.editing).toBeDefined();
    expect(weightsIn(typed(wrong, 'esc'))).toEqual([0.6, 0.4, 0, 0]);
  });

  test('space switches, l locks, = and n make weights equal and their sum 1', () => {
    const state = typed(begin(), 'down', 'down', ' ', '1', 'enter', 'up', 'l', 'n');
    expect(weightsIn(state)).toEqual([0.225, 0.4, 0.375, 0]);
    expect(weightsIn(typed(state, '='))).toEqual([0.3, 0.4, 0.3, 0]);
    expect(weightsIn(typed(state, 'up', ' '))).toEqual([0, 0.4, 0.375, 0]);
  });

  test('the focus goes round, and Tab jumps to the picture and back', () => {
    expect(typed(begin(), 'up').row).toBe(SHARDS.length + 5);
    expect(typed(begin(), 'up', 'down').row).toBe(0);
    expect(typed(begin(), 'tab').row).toBe(SHARDS.length);
    expect(typed(begin(), 'tab', 'down', 'tab').row).toBe(0);
  });

  test('a prompt is typed, remembered and recalled', () => {
    const first = typed(begin(), 'tab', 'enter', 'ctrl-w', 'ctrl-w', ...'cat', 'enter');
    expect(present(first).picture.prompt).toBe('cat');
    expect(first.prompts).toEqual(['cat']);
    const second = typed(first, 'enter', ...'!!', 'enter');
    expect(second.prompts).toEqual(['cat!!', 'cat']);
    const recalled = typed(second, 'enter', 'up', 'up');
    expect(recalled.editing!.line.text).toBe('cat');
    expect(typed(recalled, 'down', 'down').editing!.line.text).toBe('cat!!');
    expect(typed(recalled, 'up', 'up', 'enter').prompts).toEqual(['cat', 'cat!!']);
    expect(typed(begin(), 'tab', 'enter', 'ctrl-a', 'a', ' ').editing!.line).toEqual({
      text: 'a red apple',
      cursor: 2,
    });
  });

  test('letters that are keys elsewhere are letters in a prompt', () => {
    const state = typed(begin(), 'tab', 'enter', ...'qub?');
    expect(state.editing!.line.text).toBe('red applequb?');
    expect(meant(state, 'ctrl-c')).toEqual({ type: 'interrupt' });
  });

  test('what is pasted is never taken for keys', () => {
    const paste: Press = { input: 'quit q', isPasted: true };
    expect(meaningOf(typed(begin(), 'tab'), paste)).toEqual({ type: 'edit', target: 'prompt', typed: 'quit q' });
    expect(meaningOf(begin({ shards: [] }), { ...paste })).toEqual({ type: 'edit', target: 'prompt', typed: 'quit q' });
    expect(meaningOf(typed(begin(), 'c'), paste)).toBeUndefined();
    const editing = typed(begin(), 'tab', 'enter');
    expect(reduce(editing, meaningOf(editing, paste) as Action).editing!.line.text).toBe('red applequit q');
  });

  test('numbers of the picture are turned and typed', () => {
    const at = (downs: number, ...names: string[]) =>
      present(typed(begin(), 'tab', ...Array<string>(downs).fill('down'), ...names)).picture;
    expect(at(2, 'right').seed).toBe(43n);
    expect(at(2, '7', 'enter').seed).toBe(7n);
    expect(at(3, 'shift-left').steps).toBe(10);
    expect(at(4, 'right').sampler).toBeDefined();
    expect(at(5, '4', '.', '5', 'enter').guidance).toBe(4.5);
  });

  test('models are added, and taken off the list', () => {
    const state = acted(begin(), { type: 'add', id: './mine' });
    expect(present(state).shards.at(-1)).toMatchObject({ id: './mine', on: false });
    expect(state.row).toBe(4);
    expect(present(acted(state, { type: 'add', id: 'ink' })).shards).toHaveLength(5);
    expect(present(typed(state, 'd')).shards).toEqual(SHARDS);
    expect(typed(begin(), '+').editing?.target).toBe('shard');
  });
});

describe('undo', () => {
  const any: fc.Arbitrary<Action> = fc.oneof(
    fc.record({ type: fc.constant('move' as const), by: fc.constantFrom(1, -1) }),
    fc.record({
      type: fc.constant('turn' as const),
      by: fc.constantFrom(1 as const, -1 as const),
      coarse: fc.boolean(),
    }),
    fc.constantFrom<Action>(
      ...(['switch', 'lock', 'equalise', 'normalise', 'rest', 'forget', 'flip', 'section'] as const).map((type) => ({
        type,
      })),
    ),
    fc.constant<Action>({ type: 'sheet', kind: 'sweep' }),
    fc.constant<Action>({ type: 'take' }),
  );

  test('brings back every state of the soup, one by one, and redo leads forward again', () => {
    fc.assert(
      fc.property(fc.array(any, { maxLength: 40 }), (actions) => {
        const state = acted(begin(), ...actions);
        const all = [...state.doc.past, present(state)];
        let now = state;
        for (const doc of [...all].reverse().slice(1)) {
          now = acted(now, { type: 'undo' });
          expect(present(now)).toBe(doc);
        }
        expect(present(now)).toEqual(present(begin()));
        for (const doc of all.slice(1)) {
          now = acted(now, { type: 'redo' });
          expect(present(now)).toBe(doc);
        }
      }),
    );
  });

  test('by u and U, of a turn that lasted as a whole', () => {
    const state = typed(begin(), 'right', 'right', 'right', 'down', 'right');
    expect(weightsIn(typed(state, 'u'))).toEqual([0.63, 0.4, 0, 0]);
    expect(weightsIn(typed(state, 'u', 'u'))).toEqual([0.6, 0.4, 0, 0]);
    expect(weightsIn(typed(state, 'u', 'u', 'U'))).toEqual([0.63, 0.4, 0, 0]);
    expect(weightsIn(typed(state, 'u', 'ctrl-r'))).toEqual([0.63, 0.41, 0, 0]);
  });
});

describe('other screens', () => {
  test('are a key away, and Escape leads back', () => {
    expect(['b', 'c', 's', '?'].map((key) => typed(begin(), key).screen)).toEqual([
      'blocks',
      'compare',
      'keep',
      'help',
    ]);
    expect(['b', 'c', 's', '?'].map((key) => typed(begin(), key, key).screen)).toEqual(Array(4).fill('kitchen'));
    expect(typed(begin(), 'b', 'esc').screen).toBe('kitchen');
    expect(typed(begin(), ' ', 'tab', 'b').row).toBe(1);
    expect(typed(begin({ shards: [] }), 'b').row).toBe(0);
  });

  test('blocks are chosen and turned, presets tried, and all of it cleared', () => {
    const presets = { ALL_A: { IN00: 0, M00: 0 }, GRAD: { IN00: 0.5 } };
    const loaded = acted(begin(), {
      type: 'engine',
      event: { type: 'blocks', names: ['BASE', 'IN00', 'M00'], presets },
    });
    const blocksOf = (state: State) => present(state).shards[state.row].blocks;
    const turned = typed(loaded, 'b', 'right', 'down', '-');
    expect(blocksOf(turned)).toEqual({ IN00: 0.7 });
    expect(blocksOf(typed(turned, '0'))).toEqual({});
    expect(blocksOf(typed(turned, 'n'))).toEqual({ IN00: 0, M00: 0 });
    expect(typed(turned, 'n', 'n').notice?.text).toBe('noto: preset GRAD');
    expect(typed(turned, 'tab').row).toBe(1);
    expect(typed(acted(turned, { type: 'move', by: 5 }), 'tab').row).toBe(0);
    expect(blocksOf(typed(typed(begin(), 'b'), 'up'))).toEqual({});
  });

  test('A and B are flipped, and flipping is undone like any change', () => {
    const state = typed(begin(), 'a', '=');
    expect(present(state).side).toBe('B');
    const flipped = typed(state, 'a');
    expect(weightsIn(flipped)).toEqual([0.6, 0.4, 0, 0]);
    expect(present(flipped).side).toBe('A');
    expect(weightsIn(typed(flipped, 'a'))).toEqual([0.5, 0.5, 0, 0]);
    const back = typed(flipped, 'u');
    expect(present(back)).toBe(present(state));
    expect(weightsIn(typed(back, 'a'))).toEqual([0.6, 0.4, 0, 0]); // A is still there
    expect(present(typed(flipped, 'A')).other).toMatchObject({ shards: present(flipped).shards });
    expect(present(typed(begin(), 'a', 'u')).other).toBeUndefined();
  });

  test('a cell of a sheet is taken into the kitchen', () => {
    const state = typed(begin(), 'c', 'w', 'right', 'enter');
    expect(state.screen).toBe('kitchen');
    expect(weightsIn(state)).toEqual([0.75, 0.25, 0, 0]);
    expect(weightsIn(typed(state, 'u'))).toEqual([0.6, 0.4, 0, 0]);
    expect(typed(begin(), 'c', 'g', 'down').cell).toBe(3);
    expect(typed(begin(), 'c', 'w', 'x').sheet!.title).toBe('from ink to fluent');
  });

  test('a sheet needs shards to go between', () => {
    expect(typed(begin({ shards: [shard('a', 1)] }), 'c', 'w').notice?.text).toBe('a sweep needs 2 shards');
    expect(typed(begin({ shards: [shard('a', 1), shard('b')] }), 'c', 'o').notice?.text).toContain('in the soup');
    expect(typed(begin({ shards: [shard('a', 1), shard('b')] }), 'c', 'g').sheet).toBeUndefined();
  });

  test('every screen has hints, and the last one leads on', () => {
    for (const key of ['', 'b', 'c', 's', '?']) {
      const hints = hintsOf(key ? typed(begin(), key) : begin());
      expect(hints.length).toBeGreaterThan(1);
    }
    expect(hintsOf(typed(begin(), 'tab', 'enter')).map(([key]) => key)).toEqual(['enter', 'esc', '↑↓']);
  });
});

describe('what the engine tells', () => {
  const told = (...events: Parameters<typeof acted>[1][]) => acted(begin(), ...events);

  test('pictures are kept once each, the newest last, and not without end', () => {
    const many = Array.from({ length: 60 }, (_, i) => ({
      type: 'engine' as const,
      event: { type: 'picture' as const, picture: drawn(`${i % 55}`) },
    }));
    const { pictures } = told(...many);
    expect(pictures).toHaveLength(48);
    expect(pictures.at(-1)!.key).toBe('4');
    expect(new Set(pictures.map(({ key }) => key)).size).toBe(48);
  });

  test('failures are problems, and end the work', () => {
    const work = { phase: 'loading', done: 0, total: 1, queue: 0 } as const;
    const state = told(
      { type: 'engine', event: { type: 'work', work } },
      { type: 'engine', event: { type: 'failed', message: 'the disk is full' } },
    );
    expect(state.work).toBeUndefined();
    expect(state.notice).toEqual({ kind: 'problem', text: 'the disk is full' });
  });

  test('any key after the first Ctrl-C stays', () => {
    expect(meant(begin(), 'q')).toEqual({ type: 'quit' });
    expect(meant(begin(), 'ctrl-c')).toEqual({ type: 'interrupt' });
  });
});

test('no sequence of keys breaks anything', () => {
  const keys = [...Object.keys(NAMED), ...'abcdefghijklmnopqrstuvwxyzUAHLN0123456789=+-<>?/. '];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...keys), { maxLength: 60 }), (names) => {
      const state = typed(begin(), ...names);
      expect(state.row).toBeGreaterThanOrEqual(0);
      expect(state.row).toBeLessThan(present(state).shards.length + 6);
      for (const { weight } of present(state).shards) expect(Number.isFinite(weight)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

/** Every component by itself, character by character; screens are in frames.test.tsx. */
import { stripVTControlCharacters } from 'node:util';
import { renderToString } from 'ink';
import type { ReactNode } from 'react';
import { describe, expect, test, vi } from 'vitest';
import type { EngineEvent } from '../../packages/cli/src/tui/engine/protocol.ts';
import { type State, wantedOf } from '../../packages/cli/src/tui/state/state.ts';
import { lineOf, moved } from '../../packages/cli/src/tui/state/text-line.ts';
import { EditLine } from '../../packages/cli/src/tui/views/EditLine.tsx';
import { Fields } from '../../packages/cli/src/tui/views/Fields.tsx';
import { Formula } from '../../packages/cli/src/tui/views/Formula.tsx';
import { Header, Hints, MachineLine, Words, WorkLine } from '../../packages/cli/src/tui/views/Frame.tsx';
import { Preview } from '../../packages/cli/src/tui/views/Preview.tsx';
import { ShardList } from '../../packages/cli/src/tui/views/ShardList.tsx';
import { Slider } from '../../packages/cli/src/tui/views/Slider.tsx';
import { TileView } from '../../packages/cli/src/tui/views/TileView.tsx';
import { type Theme, ThemeProvider, themeOf } from '../../packages/cli/src/tui/views/theme.tsx';
import { acted, begin, drawn, frameOf, PLAIN, SHARDS, shard } from './support.tsx';

// Cursors are inverse, which nothing but colours shows.
vi.hoisted(() => {
  process.env.FORCE_COLOR = '1';
});

const engine = (event: EngineEvent) => ({ type: 'engine', event }) as const;

function shown(node: ReactNode, columns = 40, theme: Theme = PLAIN): string {
  const frame = renderToString(<ThemeProvider value={theme}>{node}</ThemeProvider>, { columns });
  return stripVTControlCharacters(frame)
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

test('Slider: empty, part, full, beyond, off', () => {
  const slider = (value: number, isOff = false) =>
    shown(<Slider value={value} width={10} isFocused={false} isOff={isOff} />);
  expect([slider(0), slider(0.34), slider(1), slider(7), slider(-1), slider(0.5, true)]).toMatchInlineSnapshot(`
    [
      "──────────",
      "━━━───────",
      "━━━━━━━━━━",
      "━━━━━━━━━━",
      "──────────",
      "──────────",
    ]
  `);
});

test('EditLine: the cursor is inverse, long text moves along', () => {
  const coloured = (line: Parameters<typeof EditLine>[0]['line'], width = 8) =>
    renderToString(<EditLine line={line} width={width} />, { columns: 20 });
  expect(coloured(lineOf('abc'))).toMatchInlineSnapshot(`"abc[7m [27m"`);
  expect(coloured(moved(lineOf('abc'), -2))).toMatchInlineSnapshot(`"a[7mb[27mc"`);
  expect(shown(<EditLine line={lineOf('a long line of text')} width={8} />)).toMatchInlineSnapshot(`"f text"`);
});

test('ShardList: on, off, locked, unfit, focused, typed, with other weights than 0 to 1', () => {
  const shards = [shard('noto', 2, { locked: true }), shard('ink', -0.125), shard('fluent'), shard('sd15')];
  const state = acted(
    begin({ shards }),
    engine({ type: 'inspected', found: [{ id: 'sd15', problem: 'another architecture' }] }),
    { type: 'move', by: 1 },
    { type: 'edit', target: 'weight', typed: '.5' },
  );
  expect(shown(<ShardList state={state} width={40} rows={4} />)).toMatchInlineSnapshot(`
    "  ◆ noto   ━━━━━━━━━━━━━━━━    2.00 107%
    ▸ ● ink    ────────────────     .5   -7%
      ○ fluent ────────────────     off
      ✕ sd15   ────────────────     off"
  `);
});

test('Formula: nothing, one, several, with block weights, negative, cancelling out', () => {
  const formula = (...shards: Parameters<typeof Formula>[0]['shards']) =>
    shown(<Formula shards={shards} width={60} />, 60);
  expect([
    formula(),
    formula(shard('noto', 1)),
    formula(shard('noto', 0.6), shard('ink', 0.4, { blocks: { M00: 0.5 } })),
    formula(shard('noto', 2), shard('ink', -0.5)),
    formula(shard('noto', 1), shard('ink', -1)),
  ]).toMatchInlineSnapshot(`
    [
      "  Nothing in the soup yet: space puts a shard in.",
      "  = 1 noto                                          sum 1.00",
      "  = 0.6 noto + 0.4 ink*                             sum 1.00",
      "  = 2 noto - 0.5 ink                   sum 1.50, scaled to 1",
      "  = 1 noto - 1 ink                         sum 0.00, nothing",
    ]
  `);
});

test('Fields: their values, one of them typed into', () => {
  const picture = { negative: 'blurry', seed: 2n ** 64n - 1n, sampler: 'dpmpp-2m', guidance: 7.5 } as const;
  const state = acted(begin({ picture }), { type: 'section' }, { type: 'edit', target: 'prompt' });
  expect(shown(<Fields state={state} width={50} />, 50)).toMatchInlineSnapshot(`
    "▸ prompt    red apple
      negative  blurry
      seed      18446744073709551615   steps     20
      sampler   dpmpp-2m               guidance  7.5"
  `);
});

describe('Preview', () => {
  const area = { column: 0, row: 0, columns: 30, rows: 5 };
  const preview = (state: State, theme?: Theme) => shown(<Preview state={state} area={area} />, 30, theme);
  const { full, sketch } = wantedOf(begin().doc.present)!;

  test('with nothing, on its way, a sketch, the picture, of an earlier soup, one side of two', () => {
    const work = { phase: 'drawing', done: 0, total: 4, queue: 0 } as const;
    const sketched = acted(begin(), engine({ type: 'picture', picture: drawn(sketch.key, { effort: 'sketch' }) }));
    const done = acted(sketched, engine({ type: 'picture', picture: drawn(full.key, { path: '/p/apple.png' }) }));
    expect(preview(begin())).toMatchInlineSnapshot(`
      "


              no picture yet


      "
    `);
    expect(preview(acted(begin(), engine({ type: 'work', work })))).toMatchInlineSnapshot(`
      "


                on its way


      "
    `);
    expect(preview(sketched).split('\n').at(-2)).toMatchInlineSnapshot(`"sketch · 1.3 s"`);
    expect(preview(done)).toMatchInlineSnapshot(`
      " .:-=+*#%@
       .:-=+*#%@
       .:-=+*#%@
       .:-=+*#%@
       .:-=+*#%@
      picture · 1.3 s
      /p/apple.png"
    `);
    expect(
      preview(acted(done, { type: 'equalise' }))
        .split('\n')
        .at(-2),
    ).toMatchInlineSnapshot(`"an earlier soup · 1.3 s"`);
    expect(
      preview(acted(done, { type: 'flip' }))
        .split('\n')
        .at(-2),
    ).toMatchInlineSnapshot(`"picture · 1.3 s · side B"`);
  });

  test('as half blocks, and as room for a picture that the terminal draws', () => {
    const done = acted(begin(), engine({ type: 'picture', picture: drawn(full.key) }));
    expect(preview(done, themeOf({}, 'truecolor')).split('\n')[0]).toMatchInlineSnapshot(`"▀▀▀▀▀▀▀▀▀▀"`);
    expect(preview(done, themeOf({}, 'sixel')).split('\n').slice(0, 6)).toMatchInlineSnapshot(`
      [
        "",
        "",
        "",
        "",
        "",
        "picture · 1.3 s",
      ]
    `);
  });
});

test('TileView: drawn with a label, and awaited', () => {
  const area = { column: 0, row: 0, columns: 8, rows: 3, hasLabel: true };
  const tile = { label: '0.25', area, isFocused: true };
  expect(shown(<TileView tile={{ ...tile, picture: drawn('a') }} />)).toMatchInlineSnapshot(`
    " :-+#%
     :-+#%
     :-+#%
    ▸ 0.25"
  `);
  expect(shown(<TileView tile={{ ...tile, isFocused: false }} />)).toMatchInlineSnapshot(`
    "········
    ········
    ········
    0.25"
  `);
});

test('Header: with the name of every screen and its key', () => {
  expect(shown(<Header screen="compare" width={80} />, 80)).toMatchInlineSnapshot(
    `" Diffusion Soup                      Kitchen  b Blocks  Compare  s Save  ? Keys"`,
  );
  expect(shown(<Header screen="kitchen" width={60} />, 60)).toMatchInlineSnapshot(
    `" Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys"`,
  );
});

test('WorkLine: every phase, at rest, paused', () => {
  const work = (more: Partial<State['work']>) => ({
    ...begin(),
    secondsPerStep: 0.5,
    work: { phase: 'drawing', effort: 'full', done: 5, total: 20, queue: 0, ...more } as const,
  });
  const line = (state: State) => shown(<WorkLine state={state} width={70} />, 70);
  expect([
    line(work({ phase: 'opening', done: 0, total: 0 })),
    line(work({ phase: 'loading', part: 'UNet', done: 2 ** 20, total: 2 ** 22 })),
    line(work({ phase: 'blending', part: 'UNet', done: 2 ** 21, total: 2 ** 22 })),
    line(work({})),
    line(work({ effort: 'sketch', done: 1, total: 4 })),
    line(work({ phase: 'decoding', done: 20 })),
    line(work({ phase: 'writing', done: 0, total: 0 })),
    line(work({ phase: 'writing', done: 50, total: 100, words: 'merging noto + ink: 9 MiB of 18 MiB, 50%' })),
    line(begin()),
    line(acted(begin(), { type: 'pause' })),
  ]).toMatchInlineSnapshot(`
    [
      " ──────────────── opening the GPU",
      " ━━━━──────────── loading the UNet, 1.0 MiB of 4.0 MiB",
      " ━━━━━━━━──────── blending the UNet, 2.0 MiB of 4.0 MiB",
      " ━━━━──────────── drawing, step 5 of 20, 7.5 s left",
      " ━━━━──────────── drawing a sketch, step 1 of 4, 1.5 s left",
      " ━━━━━━━━━━━━━━━━ decoding, 20 steps done",
      " ──────────────── writing",
      " ━━━━━━━━──────── merging noto + ink: 9 MiB of 18 MiB, 50%",
      " ready",
      " paused: r draws, p goes on",
    ]
  `);
});

test('MachineLine: what is known, more or less of it, and an adapter with a name that is too long', () => {
  const machine = { adapter: `NVIDIA ${'x'.repeat(60)}`, precision: 'f16' } as const;
  const known: State = {
    ...begin(),
    machine,
    memory: { used: 2 ** 31, budget: 2 ** 37 },
    secondsPerStep: 0.0123,
    work: { phase: 'drawing', done: 1, total: 4, queue: 3 },
  };
  const line = (state: State, width: number) => shown(<MachineLine state={state} width={width} />, width);
  expect([
    line(begin(), 60),
    line({ ...begin(), machine }, 60),
    line(known, 60),
    line(known, 90),
  ]).toMatchInlineSnapshot(`
    [
      " looking for a GPU",
      " NVIDIA xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx · f16 · queue 0",
      " NVIDIA xxxxxxxxxxx · f16 · 2.0 GiB · 0.01 s/step · queue 3",
      " NVIDIA xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx · f16 · 2.0 GiB of 128 GiB · 0.01 s/step · queue 3",
    ]
  `);
});

test('Words: a problem over two lines, a note, and nothing of what could move the cursor', () => {
  const words = (kind: 'note' | 'problem', text: string, rows: number) =>
    shown(<Words kind={kind} text={text} width={30} rows={rows} />, 30);
  expect(words('problem', 'a problem that needs more than a line to be told', 2)).toMatchInlineSnapshot(`
    " ✕ a problem that needs more
       than a line to be told"
  `);
  expect(words('note', 'saved: \x1b]2;x\x07/a\r\nb', 1)).toMatchInlineSnapshot(`" › saved: /a b"`);
});

test('Hints: as many as fit, the last one always; leaving', () => {
  const hints = (state: State, width: number) => shown(<Hints state={state} width={width} />, width);
  expect([
    hints(begin(), 120),
    hints(begin(), 40),
    hints(acted(begin(), { type: 'section' }, { type: 'edit', target: 'prompt' }), 60),
    hints(acted(begin(), { type: 'leave', armed: true }), 60),
  ]).toMatchInlineSnapshot(`
    [
      " ←→ turn  space on/off  0-9 type  = equal  n normalise  l lock  tab picture  s save  u undo  ? all keys",
      " ←→ turn  space on/off  ? all keys",
      " enter accept  esc leave as it was  ↑↓ earlier prompts",
      " Ctrl-C again quits; any other key stays",
    ]
  `);
});

describe('Spoken', () => {
  const spoken = themeOf({}, 'none', true);
  const say = (state: State) => frameOf(state, spoken);
  const { full } = wantedOf(begin().doc.present)!;
  const ready = acted(
    begin({ log: '/state/tui.log', size: { columns: 200, rows: 24 } }),
    engine({ type: 'machine', machine: { adapter: 'llvmpipe', precision: 'f16' } }),
    engine({ type: 'picture', picture: drawn(full.key, { path: '/p/apple.png' }) }),
    engine({ type: 'blocks', names: ['BASE', 'IN00'], presets: {} }),
  );

  test('the kitchen: a shard, a field, a problem, what is typed, steps not one by one', () => {
    expect(say(ready)).toMatchInlineSnapshot(`
      "Models: noto, ink, fluent, twemoji.
      GPU: llvmpipe, f16.
      Kitchen. Keys: left or right turn, space on/off, 0-9 type, = equal, n normalise, l lock, tab picture, s save, u undo, ? all keys.
      The soup: 0.6 noto + 0.4 ink, sum 1.
      noto: on, weight 0.6, 60 percent.
      The picture: /p/apple.png
      Ready."
    `);
    const step = (done: number) =>
      say(
        acted(ready, engine({ type: 'work', work: { phase: 'drawing', effort: 'full', done, total: 20, queue: 0 } })),
      );
    expect(step(3)).toBe(step(4));
    const more = acted(ready, { type: 'lock' }, { type: 'section' }, { type: 'edit', target: 'prompt' });
    const failed = acted(more, engine({ type: 'failed', message: 'no\x1b[2J GPU' }), { type: 'leave', armed: true });
    expect(say(failed).split('\n').slice(2)).toMatchInlineSnapshot(`
      [
        "Kitchen. Keys: enter accept, esc leave as it was, up or down earlier prompts.",
        "The soup: 0.6 noto + 0.4 ink, sum 1.",
        "prompt: red apple",
        "The picture: /p/apple.png",
        "Typing prompt: red apple",
        "Ready.",
        "Problem: no GPU",
        "Ctrl-C again quits; any other key stays.",
      ]
    `);
  });

  test('every other screen', () => {
    const on = (screen: State['screen'], state = ready) =>
      say(acted(state, { type: 'screen', screen }))
        .split('\n')
        .slice(2);
    expect(on('blocks')).toMatchInlineSnapshot(`
      [
        "Block weights. Keys: left or right block, up or down turn, tab next shard, n presets, 0 clear, esc kitchen.",
        "The soup: 0.6 noto + 0.4 ink, sum 1.",
        "Block BASE of noto: 1.",
        "The picture: /p/apple.png",
        "Ready.",
      ]
    `);
    expect(on('compare')).toMatchInlineSnapshot(`
      [
        "Compare. Keys: a flip A/B, w sweep, g grid, o leave one out, x other shards, enter take, esc kitchen.",
        "Nothing side by side yet.",
        "Ready.",
      ]
    `);
    expect(on('compare', acted(ready, { type: 'flip' }, { type: 'equalise' }))).toMatchInlineSnapshot(`
      [
        "Compare. Keys: a flip A/B, w sweep, g grid, o leave one out, x other shards, enter take, esc kitchen.",
        "A and B",
        "A: 0.6 noto + 0.4 ink: /p/apple.png",
        "B (now): 0.5 noto + 0.5 ink: not drawn yet",
        "Ready.",
      ]
    `);
    expect(on('compare', acted(ready, { type: 'sheet', kind: 'sweep' }))).toMatchInlineSnapshot(`
      [
        "Compare. Keys: a flip A/B, w sweep, g grid, o leave one out, x other shards, enter take, esc kitchen.",
        "from noto to ink",
        "0.00: not drawn yet",
        "0.25: not drawn yet",
        "0.50: not drawn yet",
        "0.75: not drawn yet",
        "1.00: not drawn yet",
        "Chosen: 0.00, 1 noto",
        "Ready.",
      ]
    `);
    expect(on('keep', acted(ready, { type: 'saved', path: '/soups/mine.yaml' }))).toMatchInlineSnapshot(`
      [
        "Save. Keys: 1-6 choose, tab another shard, esc kitchen.",
        "1 Recipe: a YAML file; soup merge and soup tui take it",
        "2 Checkpoint: the weights as a diffusers folder, as soup merge writes it",
        "3 Picture: a PNG that says how it was made",
        "4 Command: to the clipboard: what to type to draw this picture",
        "5 Add: noto to a soup on the disk, by its ledger",
        "6 Remove: noto from a soup on the disk, with a receipt",
        "The command: soup generate noto:0.6+ink:0.4 -p 'red apple' --seed 42 --steps 20 --guidance 7",
        "saved: /soups/mine.yaml",
        "Ready.",
      ]
    `);
    expect(on('help').slice(0, 3)).toMatchInlineSnapshot(`
      [
        "Keys. Keys: esc kitchen, q quit.",
        "up or down tab: move, or jump between shards and picture",
        "left or right < >: turn a little; with Shift or < >, a lot",
      ]
    `);
    expect(on('help').at(-2)).toBe('The log: /state/tui.log');
  });

  test('nothing at all, and a shard that does not fit', () => {
    const unfit = engine({ type: 'inspected', found: [{ id: 'noto', problem: 'another architecture' }] });
    expect(say(begin({ shards: [] })).split('\n')[0]).toBe('Models: none, + adds one.');
    expect(say(acted(begin({ shards: SHARDS }), unfit))).toContain('Problem: another architecture');
  });
});

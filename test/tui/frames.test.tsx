/** Every screen, character by character. */
import { describe, expect, test } from 'vitest';
import type { EngineEvent } from '../../packages/cli/src/tui/engine/protocol.ts';
import { type State, wantedOf } from '../../packages/cli/src/tui/state/state.ts';
import { themeOf } from '../../packages/cli/src/tui/views/theme.tsx';
import { acted, begin, drawn, frameOf, SHARDS, shard } from './support.tsx';

const SMALL = { columns: 60, rows: 15 };
const engine = (event: EngineEvent) => ({ type: 'engine', event }) as const;
const MACHINE = [
  engine({ type: 'machine', machine: { adapter: 'llvmpipe', precision: 'f16' } }),
  engine({ type: 'memory', used: 2 ** 25, budget: 2 ** 30 }),
  engine({ type: 'speed', secondsPerStep: 0.314 }),
];
const BLOCKS = ['BASE', 'IN00', 'IN01', 'IN02', 'M00', 'OUT00', 'OUT01', 'OUT02'];

const ready = (more: Parameters<typeof begin>[0] = {}): State => acted(begin(more), ...MACHINE);
const withPicture = (state: State): State =>
  acted(
    state,
    engine({ type: 'picture', picture: drawn(wantedOf(state.doc.present)!.full.key, { path: '/pictures/apple.png' }) }),
  );

describe('kitchen', () => {
  test('at first', () => {
    expect(frameOf(begin())).toMatchInlineSnapshot(`
      " Diffusion Soup                    Kitchen  b Blocks  c Compare  s Save  ? Keys

       ▸ ● noto    ━━━━━━━━━━━━━────────    0.60  60%
         ● ink     ━━━━━━━━─────────────    0.40  40%
         ○ fluent  ─────────────────────     off
         ○ twemoji ─────────────────────     off

         = 0.6 noto + 0.4 ink                sum 1.00

         prompt    red apple
         negative  none                                        no picture yet
         seed      42                 steps     20
         sampler   own                guidance  7







       ready
       looking for a GPU
       ←→ turn  space on/off  0-9 type  = equal  n normalise  l lock  ? all keys"
    `);
  });

  test('with a picture', () => {
    expect(frameOf(withPicture(ready()))).toMatchInlineSnapshot(`
      " Diffusion Soup                    Kitchen  b Blocks  c Compare  s Save  ? Keys

       ▸ ● noto    ━━━━━━━━━━━━━────────    0.60  60%    ..:--=++**#%%@
         ● ink     ━━━━━━━━─────────────    0.40  40%    ..:--=++**#%%@
         ○ fluent  ─────────────────────     off         ..:--=++**#%%@
         ○ twemoji ─────────────────────     off         ..:--=++**#%%@
                                                         ..:--=++**#%%@
         = 0.6 noto + 0.4 ink                sum 1.00    ..:--=++**#%%@
                                                         ..:--=++**#%%@
         prompt    red apple                             ..:--=++**#%%@
         negative  none
         seed      42                 steps     20
         sampler   own                guidance  7

        .:=+*#@
        .:=+*#@
        .:=+*#@
        .:=+*#@                                        picture · 1.3 s
                                                       /pictures/apple.png

       ready
       llvmpipe · f16 · 32.0 MiB of 1.0 GiB · 0.31 s/step · queue 0
       ←→ turn  space on/off  0-9 type  = equal  n normalise  l lock  ? all keys"
    `);
  });

  test('at work, on the smallest screen', () => {
    const work = { phase: 'drawing', effort: 'sketch', done: 1, total: 4, queue: 1 } as const;
    expect(frameOf(acted(ready({ size: SMALL }), engine({ type: 'work', work })))).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
       ▸ ● noto    ━━━━━━━────    0.60  60%
         ● ink     ━━━━───────    0.40  40%
         ○ fluent  ───────────     off
         ○ twemoji ───────────     off
         = 0.6 noto + 0.4 ink      sum 1.00       on its way
         prompt    red apple
         negative  none
         seed      42       steps     20
         sampler   own      guidance  7

       ━━━━──────────── drawing a sketch, step 1 of 4, 0.9 s left
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 1
       ←→ turn  space on/off  0-9 type  = equal  ? all keys"
    `);
  });

  test('at work, with something to say', () => {
    const work = { phase: 'drawing', effort: 'full', done: 7, total: 20, queue: 0 } as const;
    const notice = { kind: 'note', text: 'copied: soup generate noto' } as const;
    const state = acted(ready({ size: SMALL }), engine({ type: 'work', work }), { type: 'notice', notice });
    expect(frameOf(state).split('\n').slice(-3)).toMatchInlineSnapshot(`
      [
        " ━━━━━━────────── drawing, step 7 of 20, 4.1 s left",
        " › copied: soup generate noto",
        " ←→ turn  space on/off  0-9 type  = equal  ? all keys",
      ]
    `);
  });

  test('with an earlier picture, a locked weight, and weights that do not add up to 1', () => {
    const state = acted(
      withPicture(ready({ size: SMALL })),
      { type: 'lock' },
      { type: 'move', by: 1 },
      { type: 'turn', by: 1, coarse: true },
    );
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
         ◆ noto    ━━━━━━━────    0.60  55%    ..:--=++**#%%@
       ▸ ● ink     ━━━━━━─────    0.50  45%    ..:--=++**#%%@
         ○ fluent  ───────────     off         ..:--=++**#%%@
         ○ twemoji ───────────     off         ..:--=++**#%%@
         = 0.6 noto…  sum 1.10, scaled to 1    ..:--=++**#%%@
         prompt    red apple                   ..:--=++**#%%@
         negative  none                        ..:--=++**#%%@
         seed      42       steps     20       ..:--=++**#%%@
         sampler   own      guidance  7      an earlier soup · 1…
                                             /pictures/apple.png
       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       ←→ turn  space on/off  0-9 type  = equal  ? all keys"
    `);
  });

  test('with a shard that does not fit', () => {
    const problem = 'unet: crossAttentionDim is [64] in noto but [768] in sd15.';
    const state = acted(
      ready({ size: SMALL, shards: [...SHARDS, shard('sd15')] }),
      engine({ type: 'inspected', found: [{ id: 'sd15', problem }] }),
      { type: 'move', by: 4 },
    );
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
         ● noto    ━━━━━━━────    0.60  60%
         ● ink     ━━━━───────    0.40  40%
         ○ fluent  ───────────     off
         ○ twemoji ───────────     off
       ▸ ✕ sd15    ───────────     off          no picture yet
         = 0.6 noto + 0.4 ink      sum 1.00
         prompt    red apple
         negative  none
         seed      42       steps     20
         sampler   own      guidance  7
       ✕ unet: crossAttentionDim is [64] in noto but [768] in
         sd15.
       ←→ turn  space on/off  0-9 type  = equal  ? all keys"
    `);
  });

  test('with a shard that does not fit, while others are drawn', () => {
    const state = acted(
      ready({ size: SMALL, shards: [...SHARDS, shard('sd15')] }),
      engine({ type: 'inspected', found: [{ id: 'sd15', problem: 'another architecture' }] }),
      engine({ type: 'work', work: { phase: 'drawing', effort: 'full', done: 7, total: 20, queue: 0 } }),
      { type: 'move', by: 4 },
    );
    expect(frameOf(state).split('\n').slice(-3)).toMatchInlineSnapshot(`
      [
        " ━━━━━━────────── drawing, step 7 of 20, 4.1 s left",
        " ✕ another architecture",
        " ←→ turn  space on/off  0-9 type  = equal  ? all keys",
      ]
    `);
  });

  test('while a weight is typed, and a prompt longer than its room', () => {
    const weight = acted(ready({ size: SMALL }), { type: 'edit', target: 'weight', typed: '1/3' });
    expect(frameOf(weight).split('\n')[1]).toMatchInlineSnapshot(`" ▸ ● noto    ━━━━━━━────    1/3   60%"`);
    const prompt = acted(
      ready({ size: SMALL, picture: { prompt: 'a red apple on a wooden table' } }),
      { type: 'section' },
      { type: 'edit', target: 'prompt' },
    );
    expect(frameOf(prompt).split('\n')[6]).toMatchInlineSnapshot(`" ▸ prompt    ple on a wooden table"`);
  });

  test('while the path of a model is typed', () => {
    const state = acted(ready({ size: SMALL }), { type: 'edit', target: 'shard' }, { type: 'type', text: './mine' });
    expect(frameOf(state).split('\n')[5]).toMatchInlineSnapshot(
      `"   path of a model: ./mine                no picture yet"`,
    );
  });

  test('without models, and with more than fit', () => {
    expect(frameOf(ready({ size: SMALL, shards: [] }))).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
         Empty pantry: + adds a model.
         Space puts a shard into the soup.
       ▸ prompt    red apple
         negative  none
         seed      42       steps     20        no picture yet
         sampler   own      guidance  7




       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       enter edit  ←→ turn  ↑↓ move  tab shards  ? all keys"
    `);
    const many = Array.from({ length: 30 }, (_, i) => shard(`shard-${i}`));
    const state = acted(ready({ size: SMALL, shards: many }), { type: 'move', by: 20 });
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
         ○ shard-18 ──────────     off
         ○ shard-19 ──────────     off
       ▸ ○ shard-20 ──────────     off
         ○ shard-21 ──────────     off
         ○ shard-22 ──────────     off          no picture yet
         Space puts a shard into the soup.
         prompt    red apple
         negative  none
         seed      42       steps     20
         sampler   own      guidance  7
       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       ←→ turn  space on/off  0-9 type  = equal  ? all keys"
    `);
  });

  test('with names and messages from elsewhere, without what is in them', () => {
    const name = 'e\x1b[31mvil\x1b]52;c;AAAA\x07\u202e';
    const state = acted(
      ready({ size: SMALL, shards: [shard(name, 1)] }),
      engine({ type: 'failed', message: 'no\x1b[2J\nway' }),
    );
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
       ▸ ● evil ━━━━━━━━━━━━━━    1.00 100%
         = 1 evil                  sum 1.00
         prompt    red apple
         negative  none
         seed      42       steps     20        no picture yet
         sampler   own      guidance  7




       ✕ no way

       ←→ turn  space on/off  0-9 type  = equal  ? all keys"
    `);
  });

  test('with a path that does not fit below the picture, and with words that need two lines', () => {
    const path = '/home/somebody/.local/state/soup/pictures/0123456789ab.png';
    const { key } = wantedOf(begin().doc.present)!.full;
    const state = acted(ready({ size: SMALL }), engine({ type: 'picture', picture: drawn(key, { path }) }));
    expect(frameOf(state).split('\n').slice(-4)).toMatchInlineSnapshot(`
      [
        "                                       …es/0123456789ab.png",
        " /home/somebody/.local/state/soup/pictures/0123456789ab.png",
        " llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0",
        " ←→ turn  space on/off  0-9 type  = equal  ? all keys",
      ]
    `);
    const text = `saved: /home/somebody/soups/of/this/year/${'long-'.repeat(5)}name`;
    const said = acted(state, { type: 'notice', notice: { kind: 'note', text } });
    expect(frameOf(said).split('\n').slice(-4)).toMatchInlineSnapshot(`
      [
        "                                       …es/0123456789ab.png",
        " › saved: /home/somebody/soups/of/this/year/long-long-long-",
        "   long-long-name",
        " ←→ turn  space on/off  0-9 type  = equal  ? all keys",
      ]
    `);
  });

  test('paused, stopped, and about to quit', () => {
    const last = (state: State) => frameOf(state).split('\n').slice(-3);
    expect(last(acted(ready({ size: SMALL }), { type: 'pause' }))).toMatchInlineSnapshot(`
      [
        " paused: r draws, p goes on",
        " llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0",
        " ←→ turn  space on/off  0-9 type  = equal  ? all keys",
      ]
    `);
    expect(
      last(acted(ready({ size: SMALL }), engine({ type: 'stopped' }), { type: 'leave', armed: true })),
    ).toMatchInlineSnapshot(`
      [
        " › stopped; press r to draw",
        " llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0",
        " Ctrl-C again quits; any other key stays",
      ]
    `);
  });
});

describe('blocks', () => {
  const blocks = (size = { columns: 80, rows: 24 }) =>
    acted(ready({ size }), engine({ type: 'blocks', names: BLOCKS, presets: {} }), {
      type: 'screen',
      screen: 'blocks',
    });

  test('before a model is loaded', () => {
    expect(
      frameOf(acted(ready({ size: SMALL }), { type: 'screen', screen: 'blocks' }))
        .split('\n')
        .slice(0, 3),
    ).toMatchInlineSnapshot(`
      [
        " Soup            Kitchen  Blocks  c Compare  s Save  ? Keys",
        " Blocks are known once a soup is",
        " loaded: put a shard in first.",
      ]
    `);
  });

  test('with some that were turned', () => {
    const state = acted(
      blocks(),
      { type: 'move', by: 1 },
      { type: 'block', by: 2 },
      { type: 'turn', by: -1, coarse: true },
      { type: 'block', by: 1 },
      { type: 'turn', by: 1, coarse: true },
      { type: 'turn', by: 1, coarse: true },
    );
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Diffusion Soup                      Kitchen  Blocks  c Compare  s Save  ? Keys

                b   in        m   out
         noto   ▄▄  ▄▄ ▄▄ ▄▄  ▄▄  ▄▄ ▄▄ ▄▄
       ▸ ink    ▄▄  ▄▄ ▃▃ ▆▆  ▄▄  ▄▄ ▄▄ ▄▄

         IN02 of ink: 1.50
         Factors scale a shard by block.


                                                               no picture yet









       ready
       llvmpipe · f16 · 32.0 MiB of 1.0 GiB · 0.31 s/step · queue 0
       ←→ block  ↑↓ turn  tab next shard  n presets  0 clear  esc kitchen"
    `);
  });

  test('on the smallest screen', () => {
    expect(frameOf(blocks(SMALL))).toMatchInlineSnapshot(`
      " Soup            Kitchen  Blocks  c Compare  s Save  ? Keys
                b   in        m   out
       ▸ noto   ▄▄  ▄▄ ▄▄ ▄▄  ▄▄  ▄▄ ▄▄ ▄▄
         ink    ▄▄  ▄▄ ▄▄ ▄▄  ▄▄  ▄▄ ▄▄ ▄▄
         BASE of noto: 1.00
         Factors scale a shard by block.        no picture yet





       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       ←→ block  ↑↓ turn  tab next shard  n presets  esc kitchen"
    `);
  });
});

describe('compare', () => {
  const compare = { type: 'screen', screen: 'compare' } as const;

  test('with nothing yet, and with the last pictures', () => {
    expect(frameOf(acted(ready({ size: SMALL }), compare)).split('\n')[1]).toMatchInlineSnapshot(
      `" Nothing to compare yet: draw something first."`,
    );
    expect(frameOf(acted(withPicture(ready({ size: SMALL })), compare))).toMatchInlineSnapshot(`
      " Soup            Kitchen  b Blocks  Compare  s Save  ? Keys
       The last pictures. Press a to pin the soup as A, w for a …
        .:-=+*#%@
        .:-=+*#%@
        .:-=+*#%@
        .:-=+*#%@
        .:-=+*#%@




       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       a flip A/B  w sweep  g grid  o leave one out  esc kitchen"
    `);
  });

  test('A and B', () => {
    const state = acted(withPicture(ready()), { type: 'flip' }, { type: 'equalise' }, compare);
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Diffusion Soup                      Kitchen  b Blocks  Compare  s Save  ? Keys

       A and B
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
         ..:--=++**#%%@               ······························
                                      ······························
                                      ······························
                                      ······························
                                      ······························
                                      ······························
                                      ······························
                                      ······························
       A: 0.6 noto + 0.4 ink          ▸ B (now): 0.5 noto + 0.5 ink

       ready
       llvmpipe · f16 · 32.0 MiB of 1.0 GiB · 0.31 s/step · queue 0
       a flip A/B  w sweep  g grid  o leave one out  x other shards  esc kitchen"
    `);
  });

  test('a sweep of which one picture is there', () => {
    const sweep = acted(ready(), { type: 'sheet', kind: 'sweep' }, { type: 'cell', by: 1 });
    const shards = sweep.sheet!.cells[0].shards;
    const { key } = wantedOf({ shards, picture: sweep.doc.present.picture })!.full;
    expect(frameOf(acted(sweep, engine({ type: 'picture', picture: drawn(key) })))).toMatchInlineSnapshot(`
      " Diffusion Soup                      Kitchen  b Blocks  Compare  s Save  ? Keys

       from noto to ink
         .::-=++*##%@ ·············· ·············· ·············· ··············
         .::-=++*##%@ ·············· ·············· ·············· ··············
         .::-=++*##%@ ·············· ·············· ·············· ··············
         .::-=++*##%@ ·············· ·············· ·············· ··············
         .::-=++*##%@ ·············· ·············· ·············· ··············
         .::-=++*##%@ ·············· ·············· ·············· ··············
         .::-=++*##%@ ·············· ·············· ·············· ··············
       0.00           ▸ 0.25         0.50           0.75           1.00
       2 of 5, enter takes it: 0.75 noto + 0.25 ink








       ready
       llvmpipe · f16 · 32.0 MiB of 1.0 GiB · 0.31 s/step · queue 0
       a flip A/B  w sweep  g grid  o leave one out  x other shards  esc kitchen"
    `);
  });

  test('a grid on the smallest screen, and leaving one out', () => {
    expect(frameOf(acted(ready({ size: SMALL }), { type: 'sheet', kind: 'grid' }))).toMatchInlineSnapshot(`
      " Soup            Kitchen  b Blocks  Compare  s Save  ? Keys
       right: noto to ink, down: more fluent
       ···· ···· ····
       ···· ···· ····
       ···· ···· ····
       ···· ···· ····
       ···· ···· ····
       ···· ···· ····
       1 of 9, enter takes it: 1 noto


       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       a flip A/B  w sweep  g grid  o leave one out  esc kitchen"
    `);
    expect(frameOf(acted(ready({ size: SMALL }), { type: 'sheet', kind: 'without' }))).toMatchInlineSnapshot(`
      " Soup            Kitchen  b Blocks  Compare  s Save  ? Keys
       what each shard brings: the soup without it
       ·············· ·············· ··············
       ·············· ·············· ··············
       ·············· ·············· ··············
       ·············· ·············· ··············
       ·············· ·············· ··············
       ·············· ·············· ··············
       ·············· ·············· ··············
       ▸ all          no noto        no ink
       1 of 3, enter takes it: 0.6 noto + 0.4 ink
       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       a flip A/B  w sweep  g grid  o leave one out  esc kitchen"
    `);
  });
});

describe('save', () => {
  const keep = { type: 'screen', screen: 'keep' } as const;

  test('what there is to keep', () => {
    expect(frameOf(acted(ready(), keep))).toMatchInlineSnapshot(`
      " Diffusion Soup                      Kitchen  b Blocks  c Compare  Save  ? Keys

       Save 0.6 noto + 0.4 ink

       1 Recipe      a YAML file; soup merge and soup tui take it
       2 Checkpoint  the weights as a diffusers folder, as soup merge writes it
       3 Picture     a PNG that says how it was made
       4 Command     to the clipboard: what to type to draw this picture
       5 Add         noto to a soup on the disk, by its ledger
       6 Remove      noto from a soup on the disk, with a receipt

       $ soup generate noto:0.6+ink:0.4 -p 'red apple' --seed 42 --steps 20
       --guidance 7







       ready
       llvmpipe · f16 · 32.0 MiB of 1.0 GiB · 0.31 s/step · queue 0
       1-6 choose  tab another shard  esc kitchen"
    `);
  });

  test('on the smallest screen, while a name is typed and after something was saved', () => {
    const kept = { what: 'saved', path: '/soups/mine', root: 'a'.repeat(64) };
    const state = acted(ready({ size: SMALL }), keep, engine({ type: 'kept', kept }), {
      type: 'edit',
      target: 'recipe',
      text: 'noto-ink.yaml',
    });
    expect(frameOf(state)).toMatchInlineSnapshot(`
      " Soup            Kitchen  b Blocks  c Compare  Save  ? Keys
       Save 0.6 noto + 0.4 ink
       1 Recipe      noto-ink.yaml
       2 Checkpoint  the weights as a diffusers folder, as soup …
       3 Picture     a PNG that says how it was made
       4 Command     to the clipboard: what to type to draw this…
       5 Add         noto to a soup on the disk, by its ledger
       6 Remove      noto from a soup on the disk, with a receipt
       saved     /soups/mine
         root    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                 aaaaaaaaaaaaaaaa
       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       enter accept  esc leave as it was"
    `);
  });
});

describe('keys', () => {
  test('in one column, and in two where there is no room', () => {
    expect(frameOf(acted(ready(), { type: 'screen', screen: 'help' }))).toMatchInlineSnapshot(`
      " Diffusion Soup                      Kitchen  b Blocks  c Compare  s Save  Keys

       ↑↓ tab      move, or jump between shards and picture
       ←→ < >      turn a little; with Shift or < >, a lot
       0-9 enter   type a weight or a value
       space l     shard on or off; lock its weight
       = n         equal weights; scale them to add up to 1
       + d         add a model by its path; take one off the list
       u U         undo, redo (also Ctrl-Z, Ctrl-R)
       a A         flip between A and B; pin A anew
       b c s       block weights, compare, save
       w g o x     in compare: sweep, grid, leave one out, other shards
       p r         pause drawing; draw now
       y           copy the command that draws this picture
       ctrl-c q    stop the work, twice quits; quit





       ready
       llvmpipe · f16 · 32.0 MiB of 1.0 GiB · 0.31 s/step · queue 0
       esc kitchen  q quit"
    `);
    expect(frameOf(acted(ready({ size: SMALL }), { type: 'screen', screen: 'help' }))).toMatchInlineSnapshot(`
      " Soup            Kitchen  b Blocks  c Compare  s Save  Keys
       ↑↓ tab    move, jump         a A       flip A/B, pin A
       ←→ < >    turn; < > a lot    b c s     the other screens
       0-9 enter type a value       w g o x   sheets to compare
       space l   on/off, lock       p r       pause, draw now
       = n       equal; sum of 1    y         copy the command
       + d       add, take off      ctrl-c q  stop, quit
       u U       undo, redo



       ready
       llvmpipe · f16 · 32.0 MiB · 0.31 s/step · queue 0
       esc kitchen  q quit"
    `);
  });
});

test('the keys tell where the log is', () => {
  const state = acted(ready({ size: SMALL, log: '/state/tui.log' }), { type: 'screen', screen: 'help' });
  expect(frameOf(state).split('\n').slice(7, 11)).toMatchInlineSnapshot(`
    [
      " u U       undo, redo",
      "",
      " The log: /state/tui.log",
      "",
    ]
  `);
});

test('a terminal that is too small gets one plain line', () => {
  expect(frameOf(begin({ size: { columns: 59, rows: 15 } }))).toBe('soup needs 60 x 15; here are 59 x 15');
  expect(frameOf(begin({ size: { columns: 20, rows: 1 } }))).toMatchInlineSnapshot(`"soup needs 60 x 15;…"`);
});

test('a console without these characters gets others', () => {
  for (const env of [{ TERM: 'linux' }, { LANG: 'de_DE.ISO-8859-1' }]) {
    const theme = themeOf(env, 'truecolor');
    expect(theme.pictures).toBe('ascii');
    const all = (['kitchen', 'blocks', 'compare', 'keep', 'help'] as const).map((screen) =>
      theme.spelled(frameOf(acted(withPicture(ready({ size: SMALL })), { type: 'screen', screen }), theme)),
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what is looked for
    for (const frame of all) expect(frame).toMatch(/^[\x00-\x7f]*$/);
    expect(all[0]).toMatchInlineSnapshot(`
      " Soup          Kitchen  b Blocks  c Compare  s Save  ? Keys
       > * noto    =======----    0.60  60%    ..:--=++**#%%@
         * ink     ====-------    0.40  40%    ..:--=++**#%%@
         o fluent  -----------     off         ..:--=++**#%%@
         o twemoji -----------     off         ..:--=++**#%%@
         = 0.6 noto + 0.4 ink      sum 1.00    ..:--=++**#%%@
         prompt    red apple                   ..:--=++**#%%@
         negative  none                        ..:--=++**#%%@
         seed      42       steps     20       ..:--=++**#%%@
         sampler   own      guidance  7      picture - 1.3 s
                                             /pictures/apple.png
       ready
       llvmpipe - f16 - 32.0 MiB - 0.31 s/step - queue 0
       arrows turn  space on/off  0-9 type  = equal  ? all keys"
    `);
  }
});

test.each([60, 79, 100, 220].flatMap((columns) => [15, 16, 21, 22, 60].map((rows) => ({ columns, rows }))))(
  'no screen is larger than $columns x $rows',
  (size) => {
    const many = Array.from({ length: 40 }, (_, i) =>
      shard(`a shard with a long name ${i}`, i % 3 === 0 ? 0.3 : undefined),
    );
    const state = acted(
      withPicture(ready({ size, shards: many })),
      engine({ type: 'blocks', names: BLOCKS, presets: {} }),
      ...Array.from({ length: 30 }, (_, i) =>
        engine({
          type: 'kept',
          kept: { what: 'saved', path: `/a/long/path/${'x'.repeat(300)}/${i}`, root: 'b'.repeat(64) },
        }),
      ),
      { type: 'flip' },
    );
    for (const screen of ['kitchen', 'blocks', 'compare', 'keep', 'help'] as const) {
      for (const kind of [undefined, 'sweep', 'grid', 'without'] as const) {
        const sheet = kind ? [{ type: 'sheet', kind } as const] : [];
        const lines = frameOf(acted(state, ...sheet, { type: 'screen', screen })).split('\n');
        expect(lines.length).toBeLessThan(size.rows);
        expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(size.columns);
      }
    }
  },
);

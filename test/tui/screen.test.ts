/** Frames on the terminal, pictures over them, and what the terminal sends. */
import { PassThrough } from 'node:stream';
import type { Key } from 'ink';
import { describe, expect, test } from 'vitest';
import { sixel } from '../../packages/cli/src/image/sixel.ts';
import { type PictureMode, pictureMode, terminalPicture } from '../../packages/cli/src/image/terminal-picture.ts';
import { askForSixel } from '../../packages/cli/src/tui/ask-terminal.ts';
import { clipboardText } from '../../packages/cli/src/tui/clipboard.ts';
import { commandOf, modelArguments, quoted } from '../../packages/cli/src/tui/command-line.ts';
import { firstFrame } from '../../packages/cli/src/tui/first-frame.ts';
import { createInput } from '../../packages/cli/src/tui/input.ts';
import type { Press } from '../../packages/cli/src/tui/keys.ts';
import { stateFolder } from '../../packages/cli/src/tui/log.ts';
import { placementsOf } from '../../packages/cli/src/tui/placements.ts';
import { createLinearPainter, createPainter, type Placement } from '../../packages/cli/src/tui/screen.ts';
import { wantedOf } from '../../packages/cli/src/tui/state/state.ts';
import { themeOf } from '../../packages/cli/src/tui/views/theme.tsx';
import { acted, begin, drawn, frameOf } from './support.tsx';

describe('the painter', () => {
  function painting(rows = 10, deletePictures?: string) {
    const written: string[] = [];
    const painter = createPainter({
      write: (text) => void written.push(text.replace('\x1b[?2026h', '').replace('\x1b[?2026l', '')),
      rows: () => rows,
      ...(deletePictures && { deletePictures }),
    });
    return { painter, written };
  }
  const CLEAR = '\x1b[2J';
  const line = (row: number, text: string) => `\x1b[${row};1H${text}\x1b[0m\x1b[K`;

  test('writes whole frames once, then the lines that changed', () => {
    const { painter, written } = painting();
    painter.paint('one\ntwo\nthree');
    painter.paint('one\n2\nthree');
    painter.paint('one\n2\nthree');
    painter.paint('one');
    expect(written).toEqual([
      CLEAR + line(1, 'one') + line(2, 'two') + line(3, 'three'),
      line(2, '2'),
      '\x1b[2;1H\x1b[J',
    ]);
    painter.forget();
    painter.paint('one');
    expect(written.at(-1)).toBe(CLEAR + line(1, 'one'));
  });

  test('never writes into the last row, whatever the frame', () => {
    const { painter, written } = painting(3);
    painter.paint('a\nb\nc\nd');
    expect(written).toEqual([CLEAR + line(1, 'a') + line(2, 'b')]);
  });

  const picture: Placement = { column: 4, row: 1, key: 'p', text: '<picture>' };

  test('draws pictures again after text beside them, where that wipes them out', () => {
    const { painter, written } = painting();
    painter.paint('a\nb', [picture]);
    painter.paint('a\nb', [picture]);
    painter.paint('a\nc', [picture]);
    expect(written).toEqual([
      `${CLEAR}${line(1, 'a')}${line(2, 'b')}\x1b[2;5H<picture>`,
      `${line(2, 'c')}\x1b[2;5H<picture>`,
    ]);
  });

  test('draws pictures of a layer of their own only when they change, and deletes those before', () => {
    const { painter, written } = painting(10, '<delete>');
    painter.paint('a', [picture]);
    painter.paint('b', [picture]);
    painter.paint('b', []);
    expect(written.slice(1)).toEqual([line(1, 'b'), '<delete>']);
  });

  test('says what is new, line by line, where the cursor cannot be moved', () => {
    const written: string[] = [];
    const painter = createLinearPainter((text) => void written.push(text));
    painter.paint('one\n\ntwo');
    painter.paint('one\nthree');
    painter.paint('one\nthree');
    expect(written).toEqual(['one\r\ntwo\r\n', 'three\r\n']);
  });
});

describe('what the terminal sends', () => {
  const NO_KEY = {} as Key;
  function pressing(...events: [string, Partial<Key>?][]): Press[] {
    const presses: Press[] = [];
    const input = createInput((press) => presses.push(press));
    for (const [text, key] of events) input(text, { ...NO_KEY, ...key });
    return presses;
  }

  test('fast typing is taken apart, control characters are keys', () => {
    expect(pressing(['ab\r\x7f\x03'])).toEqual([
      { input: 'a' },
      { input: 'b' },
      { input: '', return: true },
      { input: '', backspace: true },
      { input: 'c', ctrl: true },
    ]);
    expect(pressing(['👩‍🚀x'])).toEqual([{ input: '👩‍🚀' }, { input: 'x' }]);
    expect(pressing(['', { upArrow: true }])).toEqual([{ input: '', upArrow: true }]);
    expect(pressing(['[?62;4;22c'], ['c'])).toEqual([{ input: 'c' }]); // what the terminal says of itself is no key
  });

  test('what is pasted is one piece, of one line', () => {
    expect(pressing(['[200~'], ['red '], ['\r', { return: true }], ['apple q'], ['[201~'], ['q'])).toEqual([
      { input: 'red  apple q', isPasted: true },
      { input: 'q' },
    ]);
  });

  test('a paste that never ends does not take all memory', () => {
    const events: [string][] = Array.from({ length: 500 }, () => ['x'.repeat(100)]);
    const [press] = pressing(['[200~'], ...events, ['[201~']);
    expect(press.input.length).toBeLessThanOrEqual(10_100);
  });
});

describe('pictures that the terminal draws', () => {
  const state = begin();
  const { key } = wantedOf(state.doc.present)!.full;
  const shown = acted(state, { type: 'engine', event: { type: 'picture', picture: drawn(key) } });

  test.each(['kitty', 'iterm2', 'sixel'] as const)('%s: over cells that the text leaves empty', (mode) => {
    const placements = placementsOf(shown, mode);
    const [preview] = placements;
    expect(placements).toHaveLength(2); // and the strip
    const lines = frameOf(shown, themeOf({}, mode)).split('\n');
    expect(lines[preview.row].slice(preview.column)).toBe('');
    const begins = { kitty: '\x1b_Ga=T', iterm2: '\x1b]1337;File=', sixel: '\x1bP0;1;0q' }[mode];
    expect(preview.text.startsWith(begins)).toBe(true);
    expect(placementsOf(acted(shown, { type: 'screen', screen: 'help' }), mode)).toEqual([]);
    expect(placementsOf(acted(shown, { type: 'resize', columns: 10, rows: 5 }), mode)).toEqual([]);
  });

  test('none where pictures are text', () => {
    expect(placementsOf(shown, 'truecolor')).toEqual([]);
  });

  test('each cell of a sheet has its own', () => {
    const sheet = acted(shown, { type: 'sheet', kind: 'without' });
    const [only] = placementsOf(sheet, 'kitty');
    expect(placementsOf(sheet, 'kitty')).toHaveLength(1);
    expect(only).toMatchObject({ column: 1, row: 3 });
  });

  test('Sixel: bands of six rows, of which each colour is one pass', () => {
    const pixels = new Uint8Array(2 * 7 * 3);
    for (let i = 0; i < 2 * 6; i++) pixels.set(i % 2 === 0 ? [255, 255, 255] : [0, 0, 0], i * 3);
    const text = sixel({ width: 2, height: 7, pixels });
    expect(text).toBe('\x1bP0;1;0q"1;1;2;7#251;2;100;100;100#0;2;0;0;0#251~?$#0?~-#0@@-\x1b\\');
    const wide = sixel({ width: 40, height: 6, pixels: new Uint8Array(40 * 6 * 3).fill(255) });
    expect(wide).toContain('!40~');
  });

  test('Sixel where the terminal says so', () => {
    const graphics = { kitty: false, iterm2: false, sixel: true };
    const env = { TERM: 'xterm-256color' };
    expect(pictureMode({ isTTY: true }, env, { graphics })).toBe('sixel');
    expect(pictureMode({ isTTY: true }, { ...env, TMUX: '1' }, { graphics })).toBe('256');
    const { image } = drawn('x');
    expect(terminalPicture(image, { columns: 10, rows: 5, mode: 'sixel' })).toContain('"1;1;16;16');
    expect(terminalPicture(image, { columns: 10, rows: 5, mode: 'sixel', enlarge: true })).toContain('"1;1;80;80');
    expect(terminalPicture(image, { columns: 10, rows: 5, mode: 'kitty' })).toContain('c=2,r=1');
    expect(terminalPicture(image, { columns: 10, rows: 5, mode: 'kitty', enlarge: true })).toContain('c=10,r=5');
  });
});

describe('a terminal that is asked', () => {
  async function asked(mode: PictureMode, env: Readonly<Record<string, string>>, says?: string) {
    const stdin = new PassThrough();
    let question = '';
    const answered = await askForSixel(
      mode,
      env,
      stdin,
      (text) => {
        question += text;
        if (says !== undefined) stdin.write(says);
      },
      50,
    );
    return { mode: answered, question, rest: stdin.read()?.toString() };
  }
  const env = { TERM: 'xterm-256color' };

  test('draws Sixel where its attributes have a 4', async () => {
    expect(await asked('truecolor', env, '\x1b[?62;4;22c')).toEqual({ mode: 'sixel', question: '\x1b[c' });
    expect((await asked('256', env, '\x1b[?64;14;22c')).mode).toBe('256');
    expect((await asked('truecolor', env)).mode).toBe('truecolor');
  });

  test('keeps the keys that were pressed meanwhile', async () => {
    expect(await asked('truecolor', env, 'jj\x1b[?4c\x1b[C')).toMatchObject({ mode: 'sixel', rest: 'jj\x1b[C' });
    expect(await asked('truecolor', env, ' ')).toMatchObject({ mode: 'truecolor', rest: ' ' });
  });

  test('is not asked what is known, nor through a multiplexer', async () => {
    expect(await asked('kitty', env)).toMatchObject({ mode: 'kitty', question: '' });
    expect(await asked('ascii', env)).toMatchObject({ mode: 'ascii', question: '' });
    expect(await asked('truecolor', { TERM: 'tmux-256color' })).toMatchObject({ question: '' });
    expect(await asked('truecolor', { ...env, STY: '1' })).toMatchObject({ question: '' });
  });
});

describe('commands', () => {
  test('are quoted for a shell', () => {
    expect(['noto', 'a b', "it's", '', '$(rm)', 'x\x1b[2Jy'].map(quoted)).toEqual([
      ...['noto', "'a b'", "'it'\\''s'", "''", "'$(rm)'", "'xy'"],
    ]);
  });

  test('name models so that they are understood again', () => {
    expect(modelArguments({ portions: [{ id: 'noto', weight: 1 }] })).toEqual(['noto']);
    expect(
      modelArguments({
        portions: [
          { id: 'a+b', weight: 1 },
          { id: 'c', weight: 0.5 },
        ],
      }),
    ).toEqual([...['a+b', 'c', '--weights', '1,0.5']]);
    expect(modelArguments({ portions: [{ id: 'a', weight: 1, blocks: { BASE: 1, M00: 0.5 } }] })).toEqual([
      ...['a', '--blocks', 'a=BASE:1,M00:0.5'],
    ]);
    const picture = { prompt: 'x', negative: 'y z', sampler: 'euler' as const };
    expect(commandOf(begin({ picture }).doc.present)).toBe(
      "soup generate noto:0.6+ink:0.4 -p x -n 'y z' --seed 42 --steps 20 --sampler euler --guidance 7",
    );
  });

  test('reach the clipboard through OSC 52, unless they are too long', () => {
    expect(clipboardText('soup', {})).toBe('\x1b]52;c;c291cA==\x07');
    expect(clipboardText('soup', { STY: '1' })).toBe('\x1bP\x1b]52;c;c291cA==\x07\x1b\\');
    expect(clipboardText('x'.repeat(100_000), {})).toBeUndefined();
  });
});

test('the first frame fits every terminal', () => {
  const names = Array.from({ length: 50 }, (_, i) => `shard-${i}`);
  for (const [columns, rows] of [
    [60, 15],
    [80, 24],
    [200, 60],
  ]) {
    const frame = firstFrame(columns, rows, names);
    expect(frame.split('\r\n').length).toBeLessThan(rows);
    expect(frame).toContain('Diffusion Soup');
  }
  expect(firstFrame(5, 2, names)).toContain('Diffusion');
});

test('the application keeps its things where the XDG specification has them', () => {
  expect(stateFolder({ XDG_STATE_HOME: '/state' })).toBe('/state/diffusion-soup');
  expect(stateFolder({})).toMatch(/\/\.local\/state\/diffusion-soup$/);
});

test('colours: some, none, and never as the only sign', () => {
  expect(themeOf({ TERM: 'xterm' }, 'ascii').accent).toBe('cyan');
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }, { TERM: 'xterm-mono' }, { TERM: 'vt220' }]) {
    expect(themeOf(env, 'ascii')).toMatchObject({ accent: undefined, bad: undefined });
  }
  expect(themeOf({ LANG: 'de_DE.ISO-8859-1' }, 'ascii').glyphs.on).toBe('*');
  expect(themeOf({ LANG: 'C.UTF-8' }, 'ascii').glyphs.on).toBe('●');
});

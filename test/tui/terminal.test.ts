/** The kitchen in a real terminal, with a real engine: a session from the first key to the files, and every way out. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bytesSource, parseRecipe, readPngText } from '@diffusion-soup/core';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { buildCli, scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';
import { hasTmux, Terminal, type TerminalOptions } from '../support/tmux.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 300_000 });

let out: ReturnType<typeof scratch>;
let terminal: Terminal | undefined;

beforeAll(buildCli);
beforeEach(() => {
  out = scratch();
});
afterEach(() => {
  terminal?.close();
  terminal = undefined;
  out.remove();
});

const open = (args: readonly string[] = [], options: Partial<TerminalOptions> = {}): Terminal => {
  terminal = new Terminal(args, {
    cwd: out.path,
    ...options,
    env: { XDG_STATE_HOME: out.in('state'), SOUP_PANTRY: pantry(), ...options.env },
  });
  return terminal;
};

/** A name that would rename the window and colour what follows. */
const HOSTILE = 'e\x1b]2;pwned\x07\x1b[31mvil';

/** Always the same shards, in this order: base, evil, fluent, ink, noto. */
function pantry(): string {
  const folder = out.in('pantry');
  mkdirSync(folder);
  for (const name of ['base', 'fluent', 'ink', 'noto']) symlinkSync(join(PANTRY, name), join(folder, name));
  symlinkSync(join(PANTRY, 'ink'), join(folder, HOSTILE));
  return folder;
}

/** As it was before: the main screen, a cursor, lines that are echoed. */
async function isRestored(t: Terminal, exitCode: number): Promise<void> {
  const screen = await t.shows('speed');
  expect(screen).toContain(`exit code ${exitCode}`);
  expect(screen).toMatch(/(^|\s)icanon/m);
  expect(screen).toMatch(/(^|\s)echo\s/m);
  expect(t.fact('alternate_on')).toBe('0');
  expect(t.fact('cursor_flag')).toBe('1');
  expect(screen).not.toContain('Kitchen');
}

const isGone = (pid: number) =>
  vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow(/ESRCH/), { timeout: 60_000, interval: 20 });

const steps = async (t: Terminal, count: string) => {
  t.keys('Tab', 'Down', 'Down', 'Down');
  t.type(count);
  t.keys('Enter', 'Tab');
  await t.shows(new RegExp(`steps +${count}`));
};

describe.skipIf(!hasTmux)('in a terminal', () => {
  test('two shards are chosen, turned, seen, compared and kept', async () => {
    const t = open();
    await t.shows('Kitchen');
    t.keys('p'); // nothing is drawn before it is asked for: this machine may be slow
    await steps(t, '2');
    t.keys('Down', 'Down', 'Down', 'Space', 'Down', 'Space');
    await t.shows('= 0.5 ink + 0.5 noto');
    t.keys('S-Right', 'Right', 'Up');
    t.type('1/4');
    t.keys('Enter');
    await t.shows(/= 0.25 ink \+ 0.61 noto +sum 0.86, scaled to 1/);
    t.keys('n');
    await t.shows('= 0.2907 ink + 0.7093 noto');
    t.keys('Down', 'u');
    await t.shows('= 0.25 ink + 0.61 noto');
    t.keys('Tab');
    t.paste('red apple\nin the "sun"');
    await t.shows('red apple in the');
    t.keys('Enter', 'r');
    const drawn = await t.shows(/picture · [\d.]+ s/);
    expect(drawn).toMatch(/pictures\/[0-9a-f]{12}\.png/);
    expect(drawn).toMatch(/▀{20}/);
    // A name is only a name.
    expect(drawn).toContain('○ evil ');
    expect(t.fact('pane_title')).not.toContain('pwned');

    t.keys('a', 'Tab', '='); // A is this soup, B has equal weights
    await t.shows(/= 0.5 ink \+ 0.5 noto.*an earlier soup/s);
    t.keys('r');
    await t.shows(/picture · [\d.]+ s · side B/);
    t.keys('a');
    await t.shows(/= 0.25 ink \+ 0.61 noto.*picture · [\d.]+ s · side A/s);
    t.keys('c', 'o', 'r');
    await t.shows('what each shard brings: the soup without it');
    await t.shows(/^(?!.*·····).*all +no ink +no noto/s); // no dots where pictures come
    t.keys('c');

    const keep = async (key: string, name: string, saved = name) => {
      t.keys(key);
      await t.shows('leave as it was');
      t.keys('C-u');
      t.type(name);
      t.keys('Enter');
      await t.shows(new RegExp(`saved.*${saved}`));
    };
    t.keys('s');
    await keep('1', 'mine', 'mine.yaml');
    await keep('3', 'apple.png');
    await keep('2', 'my-soup');
    const { root } = /root +(?<root>[0-9a-f]{64})/.exec(await t.shows(/root +[0-9a-f]{64}/))!.groups!;
    while (!/Add +fluent/.test(t.screen())) {
      const before = t.screen();
      t.keys('Tab');
      await vi.waitUntil(() => t.screen() !== before, { timeout: 60_000, interval: 20 });
    }
    t.keys('5');
    await t.shows('leave as it was');
    t.keys('Enter');
    await t.shows(/added fluent +\S*my-soup/);
    t.keys('6');
    await t.shows('leave as it was');
    t.keys('Enter');
    await t.shows(/removed fluent +\S*my-soup/);
    const receipt = readdirSync(out.path).find((name) => /^my-soup\.removed-fluent-.*\.json$/.test(name));
    expect(receipt).toBeDefined();
    t.keys('4');
    await t.shows('copied:');
    expect(t.clipboard()).toBe(
      `soup generate ink:0.25+noto:0.61 -p 'red apple in the "sun"' --seed 42 --steps 2 --guidance 7`,
    );
    t.keys('q');
    await isRestored(t, 0);

    const recipe = parseRecipe(readFileSync(out.in('mine.yaml'), 'utf8'), { file: 'mine.yaml' });
    expect(recipe.ingredients).toEqual([
      { model: 'ink', weight: { n: 1n, d: 4n } },
      { model: 'noto', weight: { n: 61n, d: 100n } },
    ]);
    const { texts } = await readPngText(bytesSource(readFileSync(out.in('apple.png')), 'apple.png'));
    expect(texts.get('parameters')).toMatch(/^red apple in the "sun"\nSteps: 2, .*Model: "ink:0.25 \+ noto:0.61"/s);

    // What was saved is what `soup merge` makes of the saved recipe.
    const merged = await soup(['merge', out.in('mine.yaml'), '--out', out.in('merged'), '--json']);
    expect(merged.code, merged.stderr).toBe(0);
    expect(JSON.parse(merged.stdout).root).toBe(root);
    const files = (folder: string) => readdirSync(out.in(folder), { recursive: true }).map(String).sort();
    expect(files('my-soup')).toEqual(files('merged'));
    for (const file of files('merged').filter((name) => name.endsWith('.safetensors'))) {
      const same = readFileSync(join(out.in('my-soup'), file)).equals(readFileSync(join(out.in('merged'), file)));
      expect(same, file).toBe(true);
    }
    // And the picture is the one that `soup generate` draws of it.
    const args = ['generate', out.in('my-soup'), '-p', 'red apple in the "sun"', '--seed', '42', '--steps', '2'];
    const generated = await soup([...args, '--guidance', '7', '--out', out.in('again.png'), '--no-show', '--json']);
    expect(generated.code, generated.stderr).toBe(0);
    const pixels = async (name: string) => {
      const { default: sharp } = await import('sharp');
      return sharp(readFileSync(out.in(name)))
        .raw()
        .toBuffer();
    };
    expect((await pixels('again.png')).equals(await pixels('apple.png'))).toBe(true);
  });

  test('one Ctrl-C stops the work, a second one quits', async () => {
    const t = open(['tui', 'noto+ink']);
    await t.shows('Kitchen');
    await steps(t, '400');
    await t.shows(/step [1-9]\d* of 400/);
    const begun = performance.now();
    t.keys('C-c');
    await t.shows('Ctrl-C again quits');
    await t.shows('stopped; press r to draw');
    // Within a second on a machine of its own; this one may be shared.
    expect(performance.now() - begun).toBeLessThan(5000);
    t.keys('C-c');
    await isRestored(t, 0);
  });

  test.each([
    ['SIGTERM', 143, /step \d+ of/],
    ['SIGHUP', 129, 'Kitchen'],
  ] as const)('%s leaves the terminal as it was, and no process behind', async (signal, exitCode, when) => {
    const t = open(['tui', 'noto+ink']);
    await t.shows(when);
    const [main, engine] = t.processes();
    process.kill(main, signal);
    await isRestored(t, exitCode);
    await isGone(engine);
  });

  test('so does a crash, which says where the log is; the first frame came before anything was loaded', async () => {
    const inside = `
      import { writeFileSync } from 'node:fs';
      if (process.argv[1].endsWith('main.js')) {
        process.on('SIGUSR2', () => setImmediate(() => { throw new Error('boom') }));
        const { write } = process.stdout;
        const bare = performance.now();
        process.stdout.write = function (...all) {
          process.stdout.write = write;
          writeFileSync(${JSON.stringify(out.in('first'))}, bare + ' ' + performance.now() + ' ' + all[0]);
          return write.apply(this, all);
        };
      }`;
    const t = open([], { node: ['--import', `data:text/javascript,${encodeURIComponent(inside)}`] });
    await t.shows('Kitchen');
    process.kill(t.processes()[0], 'SIGUSR2');
    const screen = await t.shows('exit code 1');
    expect(screen).toContain('soup: internal error: boom');
    await isRestored(t, 1);
    expect(readFileSync(out.in('state/diffusion-soup/tui.log'), 'utf8')).toMatch(/Error: boom\n +at /);

    const [, bare, first, frame] = /^(\S+) (\S+) (.*)$/s.exec(readFileSync(out.in('first'), 'utf8'))!;
    expect(frame).toContain('Diffusion Soup');
    expect(frame).toContain('o evil');
    // Node itself takes most of it, and its share tells how slow this machine is.
    expect(Number(first)).toBeLessThan(Math.max(300, 4 * Number(bare)));
  });

  test('whoever is killed, or loses the terminal, leaves no engine behind', async () => {
    const killed = open();
    await killed.shows('Kitchen');
    const [main, engine] = killed.processes();
    process.kill(main, 'SIGKILL');
    await isGone(engine);
    killed.close();

    const t = new Terminal([], { cwd: out.path, env: { XDG_STATE_HOME: out.in('state') } });
    terminal = t;
    await t.shows('Kitchen');
    const all = t.processes();
    expect(all).toHaveLength(2);
    t.close();
    for (const pid of all) await isGone(pid);
  });

  test('a driver that crashes leaves the kitchen standing; the terminal draws pictures itself where it can', async () => {
    const t = open(['tui', 'noto'], { env: { TERM: 'xterm-kitty' } });
    t.record(out.in('written'));
    await t.shows('Kitchen');
    await steps(t, '1');
    await t.shows('picture ·');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the beginning of a picture in Kitty's protocol
    expect(/\x1b_Ga=T,[^;]*c=\d+,r=\d+,m=\d;/.test(readFileSync(out.in('written'), 'latin1'))).toBe(true);
    process.kill(t.processes()[1], 'SIGSEGV');
    await t.shows('the engine was ended by SIGSEGV');
    t.keys('Right', 'S-Left', 'r');
    await t.shows(/f16|f32/);
    await t.shows('ready');
    t.keys('q');
    await isRestored(t, 0);
  });

  test('a storm of sizes ends in a clean screen', async () => {
    const t = open([], { columns: 100, rows: 30 });
    await t.shows('Kitchen');
    for (let i = 0; i < 30; i++) t.resize(40 + ((i * 37) % 120), 8 + ((i * 11) % 40));
    t.resize(50, 12);
    await t.shows('soup needs 60 x 15; here are 50 x 12');
    expect(t.screen().trim()).toBe('soup needs 60 x 15; here are 50 x 12');
    t.resize(60, 15);
    const small = (await t.shows('Kitchen')).trimEnd().split('\n');
    expect(small).toHaveLength(14);
    t.resize(80, 24);
    await t.shows('Diffusion Soup');
    const screen = await t.shows(/all keys\n/);
    expect(screen.match(/Diffusion Soup/g)).toHaveLength(1);
    expect(screen.match(/noto/g)).toHaveLength(1);
    expect(screen.trimEnd().split('\n')).toHaveLength(23);
    for (const line of screen.trimEnd().split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('NO_COLOR has none, and a picture of characters', async () => {
    const t = open(['tui', 'noto'], { env: { NO_COLOR: '1' } });
    await t.shows('Kitchen');
    await steps(t, '1');
    await t.shows('picture ·');
    const screen = t.screen({ colours: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
    const codes = new Set([...screen.matchAll(/\x1b\[([\d;]*)m/g)].flatMap((match) => match[1].split(';')));
    expect(
      [...codes].filter((code) => !['', '0', '1', '2', '4', '7', '22', '24', '27', '39', '49'].includes(code)),
    ).toEqual([]);
    expect(screen).toMatch(/[@%#*]{5}/);
  });

  test('a terminal that cannot move its cursor, and a reader of the screen, get lines', async () => {
    const t = open([], { env: { INK_SCREEN_READER: 'true' } });
    const screen = await t.shows('GPU:');
    expect(t.fact('alternate_on')).toBe('0');
    expect(screen).toContain('Models: base, evil, fluent, ink, noto.');
    expect(screen).not.toMatch(/[━─●○]/);
    t.keys('Up');
    await t.shows('guidance: 7');
    t.keys('Tab', 'Down', 'Down', 'Down', 'Down', 'Space');
    await t.shows('noto: on, weight 0.5, 100 percent.');
    t.keys('q');
    await t.shows('exit code 0');
  });

  test('a mistake in the arguments is told on the main screen', async () => {
    const t = open(['tui', 'none.yaml']);
    const screen = await t.shows('exit code');
    expect(screen).toContain('none.yaml');
    expect(t.fact('alternate_on')).toBe('0');
  });
});

describe('without a terminal', () => {
  test('the kitchen refuses, with what to type instead', async () => {
    const { code, stderr, stdout } = await soup(['tui', 'noto:2+ink']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('soup generate noto:2+ink --prompt "red apple" --seed 42');
  });

  test('"soup" alone is its help', async () => {
    const { code, stdout } = await soup([]);
    expect(code).toBe(0);
    expect(stdout).toContain('tui');
    expect(existsSync(out.in('state'))).toBe(false);
  });
});

/** The application on an engine that only pretends: what is ordered when, what is saved, and how it ends. */
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { App } from '../../packages/cli/src/tui/app.ts';
import type { Command, EngineEvent, Order } from '../../packages/cli/src/tui/engine/protocol.ts';
import { openRecipe, recipeFor } from '../../packages/cli/src/tui/keep.ts';
import type { Press } from '../../packages/cli/src/tui/keys.ts';
import { forgetOldPictures } from '../../packages/cli/src/tui/pictures-folder.ts';
import type { State } from '../../packages/cli/src/tui/state/state.ts';
import { scratch } from '../support/cli.ts';
import { begin, drawn, SHARDS, shard } from './support.tsx';

let out: ReturnType<typeof scratch>;
beforeEach(() => {
  out = scratch();
});
afterEach(() => out.remove());

function open(state: State = begin()) {
  const sent: Command[] = [];
  const copied: string[] = [];
  const remembered: (readonly string[])[] = [];
  let tell!: (event: EngineEvent) => void;
  let [started, quits, closed] = [0, 0, 0];
  const app = new App(state, {
    startEngine(onEvent) {
      tell = onEvent;
      started++;
      return {
        send: (command) => void sent.push(command),
        async close() {
          closed++;
        },
      };
    },
    copy(text) {
      copied.push(text);
      return text.length < 1000;
    },
    remember: (prompts) => void remembered.push(prompts),
    quit() {
      quits++;
    },
    log() {},
    restMs: 5,
    patienceMs: 20,
  });
  app.start();
  const press = (...keys: (string | Press)[]) => {
    for (const key of keys) app.press(typeof key === 'string' ? { input: key } : key);
  };
  const orders = (): Order[] => sent.flatMap((command) => (command.type === 'order' ? [command.order] : []));
  const deliver = (index = 0) => {
    const { key, effort } = orders().at(-1)!.jobs[index];
    tell({ type: 'picture', picture: drawn(key, { effort, path: out.in(`${key}.png`) }) });
  };
  const type = (text: string) => press(...text, ENTER);
  return {
    app,
    sent,
    orders,
    press,
    type,
    deliver,
    copied,
    remembered,
    tell: (event: EngineEvent) => tell(event),
    counts: () => ({ started, quits, closed }),
  };
}

const ENTER: Press = { input: '', return: true };
const CTRL_C: Press = { input: 'c', ctrl: true };
const CTRL_U: Press = { input: 'u', ctrl: true };
const efforts = ({ jobs }: Order) => jobs.map(({ effort }) => effort);

describe('pictures', () => {
  test('are ordered at once, and anew with every change: a sketch, then the picture', () => {
    const { orders, press } = open();
    expect(orders().map(efforts)).toEqual([['sketch', 'full']]);
    press('>', '>');
    expect(orders()).toHaveLength(3);
    expect(orders()[2].jobs[1].soup.portions).toEqual([
      { id: 'noto', weight: 0.8 },
      { id: 'ink', weight: 0.4 },
    ]);
    expect(new Set(orders().map(({ jobs }) => jobs[0].picture.seed))).toEqual(new Set([42n]));
  });

  test('are not ordered again by what changes nothing', () => {
    const { orders, press, deliver } = open();
    deliver(0);
    deliver(1);
    press('l', { input: '', downArrow: true }, '?', '?');
    // Done: the last order is for nothing.
    expect(orders().map(({ jobs }) => jobs.length)).toEqual([2, 0]);
  });

  test('that there are already are shown without work, and end the work on others', () => {
    const { app, orders, press, deliver } = open();
    deliver(1);
    press('>');
    expect(orders().at(-1)!.jobs).toHaveLength(2);
    press('u');
    expect(orders().at(-1)!.jobs).toHaveLength(0);
    expect(app.state.pictures).toHaveLength(1);
  });

  test('of an empty soup are not ordered', () => {
    const { orders, press } = open(begin({ shards: [shard('a')] }));
    expect(orders()).toEqual([]);
    press(' ');
    expect(orders()).toHaveLength(1);
    press(' ');
    expect(orders().at(-1)!.jobs).toEqual([]);
  });

  test('wait while paused, until they are asked for', () => {
    const { orders, press, deliver } = open();
    press('p', '>');
    expect(orders().map(({ jobs }) => jobs.length)).toEqual([2, 0]);
    press('r');
    expect(orders().at(-1)!.jobs).toHaveLength(2);
    deliver(0);
    expect(orders()).toHaveLength(3);
    press('<');
    expect(orders().at(-1)!.jobs).toHaveLength(0);
  });

  test('of a sheet are one order, from which nothing is taken while it is filled', () => {
    const { orders, press, deliver } = open();
    press('c', 'w');
    expect(orders().at(-1)!.jobs).toHaveLength(5);
    const before = orders().length;
    deliver(0);
    deliver(1);
    expect(orders()).toHaveLength(before);
    press({ input: '', escape: true });
    expect(orders().at(-1)!.jobs).toHaveLength(2);
  });
});

describe('stopping', () => {
  test('one Ctrl-C stops the work, two quit, and any key between them stays', () => {
    const { app, sent, press, counts, orders } = open();
    press(CTRL_C);
    expect(sent.at(-1)).toEqual({ type: 'stop' });
    expect(app.state.isLeaving).toBe(true);
    press({ input: '', downArrow: true }, CTRL_C);
    expect(counts().quits).toBe(0);
    press(CTRL_C);
    expect(counts().quits).toBe(1);
    expect(orders().at(-1)!.jobs).toEqual([]);
  });

  test('what was stopped is not begun again, unless something changes or it is asked for', () => {
    const { orders, press, tell } = open();
    press(CTRL_C);
    tell({ type: 'stopped' });
    press({ input: '', downArrow: true });
    expect(orders().at(-1)!.jobs).toEqual([]);
    press('r');
    expect(orders().at(-1)!.jobs).toHaveLength(2);
    press(CTRL_C, '>');
    expect(orders().at(-1)!.jobs).toHaveLength(2);
  });

  test('an engine that broke is started again when something is to be drawn', () => {
    const { press, tell, counts, app, sent } = open();
    tell({ type: 'failed', message: 'the engine was ended by SIGSEGV' });
    tell({ type: 'ended' });
    expect(app.state.notice?.kind).toBe('problem');
    const before = sent.length;
    press('r');
    expect(counts().started).toBe(2);
    expect(sent.slice(before).map(({ type }) => type)).toEqual(expect.arrayContaining(['inspect', 'order']));
  });
});

test('an engine that does not stop is given up for a new one, unless it is writing', async () => {
  const work = { phase: 'drawing', done: 0, total: 9, queue: 0 } as const;
  const pause = () => new Promise((resolve) => setTimeout(resolve, 60));
  const { press, tell, counts, app } = open();
  tell({ type: 'work', work });
  press(CTRL_C);
  await pause();
  expect(counts()).toMatchObject({ started: 2, closed: 1 });
  expect(app.state.work).toBeUndefined();
  expect(app.state.notice?.text).toContain('stopped');
  tell({ type: 'work', work: { ...work, phase: 'writing' } });
  press({ input: '', downArrow: true }, CTRL_C);
  await pause();
  expect(counts()).toMatchObject({ started: 2, closed: 1 });
});

test('models are looked at when they appear, against those in the soup', () => {
  const { sent, press } = open();
  const looks = () => sent.filter((command) => command.type === 'inspect');
  expect(looks()).toEqual([{ type: 'inspect', ids: ['noto', 'ink', 'fluent', 'twemoji'], against: ['noto', 'ink'] }]);
  press('>', '>');
  expect(looks()).toHaveLength(1);
  press('+', ...'./mine', ENTER);
  expect(looks()).toHaveLength(2);
});

test('a turn is a change of its own once the slider has rested', async () => {
  const { app, press } = open();
  press('>');
  await new Promise((resolve) => setTimeout(resolve, 20));
  press('>');
  expect(app.state.doc.past).toHaveLength(2);
  await app.close();
});

describe('saving', () => {
  const saved = ({ app }: ReturnType<typeof open>) => vi.waitFor(() => expect(app.state.notice).toBeDefined());

  test('a recipe that opens as the same soup', async () => {
    const session = open(begin({ shards: [shard('noto', 0.6), shard('ink', 1 / 3, { blocks: { M00: 0.5 } })] }));
    session.press('s', '1', CTRL_U);
    session.type(out.in('mine'));
    await saved(session);
    expect(session.app.state.kept).toEqual([{ what: 'saved', path: out.in('mine.yaml') }]);
    const { shards } = await openRecipe(out.in('mine.yaml'));
    expect(shards.map(({ id, weight }) => [id, weight])).toEqual([
      ['noto', 0.6],
      ['ink', 0.3333],
    ]);
    expect(shards[1].blocks).toEqual({ BASE: 1, M00: 0.5 });
    expect(readFileSync(out.in('mine.yaml'), 'utf8')).toMatchInlineSnapshot(`
      "# yaml-language-server: $schema=./soup.schema.json
      ingredients:
        - model: noto
          weight: 0.6
          blocks:
            BASE: 1
        - model: ink
          weight: 3333333333333333/10000000000000000
          blocks:
            BASE: 1
            M00: 0.5
      "
    `);
  });

  test('nothing over what is there, and nothing of an empty soup', async () => {
    writeFileSync(out.in('there.yaml'), 'mine');
    const session = open();
    session.press('s', '1', CTRL_U);
    session.type(out.in('there.yaml'));
    await saved(session);
    expect(session.app.state.notice).toMatchObject({ kind: 'problem', text: expect.stringContaining('exists') });
    expect(readFileSync(out.in('there.yaml'), 'utf8')).toBe('mine');
    const empty = open(begin({ shards: [shard('a')] }));
    empty.press('s', '2', CTRL_U);
    empty.type(out.in('soup'));
    await saved(empty);
    expect(empty.app.state.notice?.text).toContain('nothing in the soup');
  });

  test('the picture that is seen, and no other', async () => {
    const session = open();
    session.press('s', '3', CTRL_U);
    session.type(out.in('none.png'));
    expect(session.app.state.notice?.text).toContain('not drawn yet');
    session.deliver(1);
    writeFileSync(session.app.state.pictures[0].path, 'a picture');
    session.press('3', CTRL_U);
    session.type(out.in('apple'));
    await saved(session);
    expect(readFileSync(out.in('apple.png'), 'utf8')).toBe('a picture');
  });

  test('checkpoints and changes of soups are the engine’s to do', () => {
    const session = open();
    session.press('s', '2', CTRL_U);
    session.type(out.in('soup'));
    expect(session.sent.at(-1)).toEqual({
      type: 'keep',
      task: {
        type: 'merge',
        soup: {
          portions: [
            { id: 'noto', weight: 0.6 },
            { id: 'ink', weight: 0.4 },
          ],
        },
        folder: out.in('soup'),
      },
    });
    session.tell({ type: 'kept', kept: { what: 'saved', path: out.in('soup'), root: 'ab' } });
    session.press({ input: '', tab: true }, '6', ENTER);
    expect(session.sent.at(-1)).toMatchObject({
      type: 'keep',
      task: { type: 'remove', shard: { id: 'ink' }, folder: out.in('soup') },
    });
  });

  test('names are suggested that are free', () => {
    const before = process.cwd();
    process.chdir(out.path);
    try {
      mkdirSync(out.in('noto-ink'));
      const session = open();
      session.press('s', '2');
      expect(session.app.state.editing!.line.text).toBe('noto-ink-2');
      session.press({ input: '', escape: true }, '1');
      expect(session.app.state.editing!.line.text).toBe('noto-ink.yaml');
      session.press({ input: '', escape: true }, '3');
      expect(session.app.state.editing!.line.text).toBe('out/red-apple-42.png');
    } finally {
      process.chdir(before);
    }
    expect(existsSync(out.in('noto-ink.yaml'))).toBe(false);
  });

  test('the command that draws the same, for the clipboard and to be read', () => {
    const { app, press, copied } = open(begin({ picture: { prompt: "cat's face; rm -rf /", steps: 6 } }));
    press('y');
    expect(copied).toEqual([
      "soup generate noto:0.6+ink:0.4 -p 'cat'\\''s face; rm -rf /' --seed 42 --steps 6 --guidance 7",
    ]);
    expect(app.state.notice?.text).toBe(`copied: ${copied[0]}`);
  });
});

test('the oldest pictures make room for new ones, and nothing else does', async () => {
  for (let i = 0; i < 5; i++) {
    writeFileSync(out.in(`${i}.png`), '');
    utimesSync(out.in(`${i}.png`), i, (i * 3) % 5); // written in the order 0 2 4 1 3
  }
  writeFileSync(out.in('notes.txt'), '');
  await forgetOldPictures(out.path, 3);
  expect(out.files()).toEqual(['1.png', '3.png', '4.png', 'notes.txt']);
});

test('prompts are remembered from one session to the next', () => {
  const { press, type, remembered } = open(begin({ prompts: ['old'] }));
  press({ input: '', tab: true }, ENTER, CTRL_U);
  type('new');
  expect(remembered).toEqual([['new', 'old']]);
});

test('a recipe is opened, with its base and the hashes that it asks for, and saved with them again', async () => {
  const root = 'ab'.repeat(32);
  const text = `ingredients:\n  - noto\n  - model: ink\n    weight: 1/2\n    root: ${root}\nbase: ./base\n`;
  writeFileSync(out.in('r.yaml'), text);
  const opened = await openRecipe(out.in('r.yaml'));
  expect(opened.base).toBe('./base');
  expect(opened.shards.map((one) => [one.id, one.weight, one.root])).toEqual([
    ['noto', 1, undefined],
    ['ink', 0.5, root],
  ]);
  const { orders, press, copied } = open(begin(opened));
  expect(orders()[0].jobs[0].soup).toEqual({
    base: './base',
    portions: [
      { id: 'noto', weight: 1 },
      { id: 'ink', weight: 0.5, root },
    ],
  });
  press('>', 'y');
  expect(copied[0]).toContain('--base ./base');
  expect(recipeFor(opened)).toMatchObject({ base: './base', ingredients: [{}, { root }] });
});

test('a recipe of more than an average is refused, with what to do', async () => {
  writeFileSync(out.in('r.yaml'), 'method: ties\nbase: base\nparameters:\n  density: 0.5\ningredients: [noto, ink]\n');
  await expect(openRecipe(out.in('r.yaml'))).rejects.toThrow(/soup generate/);
  await expect(openRecipe(out.in('none.yaml'))).rejects.toThrow(/none.yaml/);
  expect(SHARDS).toHaveLength(4);
});

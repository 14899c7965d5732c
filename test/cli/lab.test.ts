/** `soup lab` as a command: reports that can be made again, measurements that are not, pages that hold nothing hostile. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Report } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chartSvg, ticks } from '../../packages/cli/src/lab/chart.ts';
import { floatsToText, openMeasurements, textToFloats } from '../../packages/cli/src/lab/measurements.ts';
import { reportHtml } from '../../packages/cli/src/lab/page.ts';
import { choices } from '../../packages/cli/src/lab/painters.ts';
import { csvText } from '../../packages/cli/src/lab/report-files.ts';
import { scratch, soup } from '../support/cli.ts';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

const read = (name: string): string => readFileSync(folder.in(name), 'utf8');

describe('soup lab', () => {
  const mix = ['lab', 'mix', 'noto', 'ink', '--steps', '1', '--stops', '1', '--precision', 'f32', '--json', '-p'];

  test('makes a report, goes on after Ctrl-C, and makes the same files again without measuring', async () => {
    const stop = new AbortController();
    const lines = () => read('out/mix.measurements.jsonl').split('\n').filter(Boolean).length;
    const args = [...mix, 'rocket', '-p', 'pizza', '-o', folder.in('out')];
    // The pictures of the first soup are kept; then it is stopped.
    const watch = setInterval(() => {
      try {
        if (lines() > 1) stop.abort('SIGINT');
      } catch {
        // not there yet
      }
    }, 20);
    const stopped = await soup(args, { stop }).finally(() => clearInterval(watch));
    expect([stopped.code, folder.files()]).toEqual([130, ['mix.measurements.jsonl']]);
    const before = lines();
    expect(before).toBeLessThan(6);

    const done = await soup(args);
    expect(done.code, done.stderr).toBe(0);
    expect(lines()).toBe(6); // 3 soups of 2 prompts, those of before among them
    const names = ['mix.html', 'mix.json', 'mix.csv'];
    const files = names.map((name) => read(`out/${name}`));
    const again = await soup(args);
    expect(names.map((name) => read(`out/${name}`))).toEqual(files);
    expect([again.stdout, lines()]).toEqual([done.stdout, 6]);

    const { files: written, warnings, ...report } = JSON.parse(done.stdout);
    expect(written).toHaveLength(3);
    expect(report).toEqual(JSON.parse(files[1]!));
    expect(report).toMatchObject({
      ...{ type: 'soup-lab', kind: 'mix' },
      command: expect.stringMatching(/^soup lab mix noto\+ink -p "rocket" .* --steps 1 .*--stops 1$/),
      setup: { prompts: ['rocket', 'pizza'], steps: 1, precision: 'f32' },
      data: { ways: [{ a: 'noto', b: 'ink', places: [{ share: 0 }, { share: 0.5 }, { share: 1 }] }] },
    });
    expect(files.join()).not.toContain(folder.path);
    expect(files[0]).toMatch(/<svg class="chart"/);
    expect(files[0]!.match(/<img /g)).toHaveLength(2 * 3);
    expect(files[2]!.split('\r\n')[0]).toBe('soup,prompt,seed,pixels from noto,pixels from ink');
  }, 300_000);

  test('drill proves by hash that a removal leaves the soup that never had the shard', async () => {
    const args = [
      'lab',
      'drill',
      'ink+noto:2',
      '-p',
      'rocket',
      '--steps',
      '1',
      '--timesteps',
      '1',
      '--precision',
      'f32',
    ];
    const { code, stdout, stderr } = await soup([...args, '-o', folder.in('out'), '--json']);
    expect(code, stderr).toBe(0);
    const { data, summary } = JSON.parse(stdout);
    const { whole, removals, bySum } = data.proof;
    expect(bySum).toBe(true);
    expect(removals.map(({ name }: { name: string }) => name)).toEqual(['ink', 'noto']);
    for (const { removed, never, added } of removals) {
      expect(removed).toMatch(/^[0-9a-f]{64}$/);
      expect([removed, added]).toEqual([never, whole]);
      expect(removed).not.toBe(whole);
    }
    expect(new Set(removals.map(({ removed }: { removed: string }) => removed)).size).toBe(2);
    expect(summary[0]).toMatch(/the very soup that never had it/);
    // A soup of one that is asked about its own picture is the model that drew it.
    const [first] = data.curve;
    expect(first.label).toBe('+ ink');
    expect(first.loss[0].mean).toBeLessThan(first.loss[1].mean);
    expect(folder.files()).toEqual(['drill.csv', 'drill.html', 'drill.json', 'drill.measurements.jsonl']);
  }, 300_000);

  test.each<[string, string[], RegExp]>([
    ['one model', ['lab', 'mix', 'noto'], /there are 1 models; give 2 to 8/],
    ['too many prompts', ['lab', 'mix', '--prompts', '99'], /there are 16 built-in prompts; give a file/],
    ['an empty file of prompts', ['lab', 'drill', '--prompts', 'EMPTY'], /the file has no lines/],
    ['an unknown sampler', ['lab', 'fidelity', '--sampler', 'best'], /best/],
  ])('refuses %s', async (_, args, message) => {
    writeFileSync(folder.in('empty'), '\n\n');
    const words = args.map((word) => (word === 'EMPTY' ? folder.in('empty') : word));
    const result = await soup([...words, '-o', folder.in('out')]);
    expect([result.code, result.stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test.each(['fidelity', 'drill', 'mix'])('%s has examples', async (name) => {
    const { stdout } = await soup(['lab', name, '--help']);
    expect(stdout).toMatch(new RegExp(`Examples:\n  soup lab ${name}`));
  });
});

test('an ensemble is drawn as any model, and its picture says so', async () => {
  const args = ['--ensemble', 'noto:2+ink:1', '-p', 'rocket', '--seed', '1', '--steps', '1', '--no-show'];
  const { code, stderr } = await soup(['generate', ...args, '-o', folder.in('a.png')]);
  expect(code, stderr).toBe(0);
  const { stdout } = await soup(['inspect', folder.in('a.png'), '--json']);
  expect(stdout).toContain('ensemble of noto:2 + ink:1');
  expect(stdout).toMatch(/"ensemble":\s*true/);
}, 120_000);

describe('measurements', () => {
  test('are made once, whatever the order of their keys, and survive a torn line', async () => {
    const file = folder.in('m.jsonl');
    let made = 0;
    const make = async () => ({ made: ++made, x: floatsToText(Float32Array.of(0.1, -0, Number.NaN, 3e38)) });
    const first = await (await openMeasurements(file)).of({ a: 1, b: [2] }, make);
    expect([...textToFloats(first.x)]).toEqual([...Float32Array.of(0.1, -0, Number.NaN, 3e38)]);
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"key":"abc","val`);
    const again = await openMeasurements(file);
    expect(again.isKnown({ b: [2], a: 1 })).toBe(true);
    expect(await again.of({ b: [2], a: 1 }, make)).toEqual(first);
    expect((await again.of({ a: 2 }, make)).made).toBe(2);
    expect((await (await openMeasurements(file)).of({ a: 2 }, make)).made).toBe(2);
    await expect(again.of({ a: 3 }, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(again.isKnown({ a: 3 })).toBe(false);
  });

  test('a file that cannot be written is named', async () => {
    writeFileSync(folder.in('file'), '');
    await expect(openMeasurements(folder.in('file/m.jsonl'))).rejects.toThrow(/file/);
  });
});

describe('pages and charts', () => {
  const hostile = '<img src=x onerror=alert(1)>"\'&\u202e\u001b[31m';
  const chart = {
    kind: 'line',
    title: hostile,
    x: { label: hostile },
    y: { label: hostile },
    series: [
      { name: hostile, points: [1, 2, 4].map((x) => ({ x, y: x * x, low: x, high: 20 })) },
      { name: 'b', points: [{ x: 1, y: 0 }] },
    ],
  } as const;
  const report: Report = {
    ...{
      type: 'soup-lab',
      kind: 'mix',
      title: hostile,
      summary: [hostile],
      command: hostile,
      setup: { [hostile]: [hostile] },
    },
    sections: [
      {
        title: hostile,
        blocks: [
          { type: 'chart', chart },
          { type: 'table', caption: hostile, columns: ['a', hostile], rows: [[1234.5678, hostile]] },
          {
            type: 'pictures',
            columns: [hostile],
            rows: [hostile],
            cells: [[{ id: 'p', title: hostile }], [undefined]],
          },
        ],
      },
    ],
    data: null,
  };

  test('text is text, and nothing is loaded or run', async () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const html = await reportHtml(report, async () => ({ type: 'image/webp', bytes }));
    expect(html).not.toMatch(/<img src=x|<script|https?:/);
    for (const hidden of ['\u202e', '\u001b']) expect(html).not.toContain(hidden);
    expect(html.match(/<img /g)).toHaveLength(1);
    expect(html).toContain('src="data:image/webp;base64,AQID"');
    expect(html).toMatch(/default-src 'none'; img-src data:/);
    expect(html).toContain('<td class="n">1235</td>');
  });

  test('points lie where their values are', () => {
    const svg = chartSvg({ ...chart, title: 't', x: { label: 'x' }, y: { label: 'y' } });
    const [, line] = /<polyline points="([^"]+)"/.exec(svg)!;
    const [[x1, y1], [x2, y2], [x4, y4]] = line!.split(' ').map((pair) => pair.split(',').map(Number)) as number[][];
    expect((x4! - x1!) / (x2! - x1!)).toBeCloseTo(3, 2);
    expect((y1! - y4!) / (y1! - y2!)).toBeCloseTo(5, 2);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test.each([
    [0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [0, 0.83, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [-30, 64, [-40, -20, 0, 20, 40, 60, 80]],
    [0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1].slice(0, 1)],
  ])('ticks from %d to %d', (from, to, expected) => {
    expect(ticks(from, to)).toEqual(expected);
  });

  test('bars and maps of nothing, one thing and negative things are drawn', () => {
    const bars = chartSvg({
      ...{ kind: 'bars', title: 't', y: { label: 'y' } },
      groups: [{ name: 'a', bars: [{ name: 'v', value: -2, low: -3, high: 1 }] }],
    });
    const map = chartSvg({ kind: 'heat', title: 't', label: 'l', rows: ['a'], columns: ['b'], values: [[undefined]] });
    expect(`${bars}${map}`).not.toMatch(/NaN|undefined|Infinity|height="-/);
  });

  test('CSV quotes what has commas, quotes and line ends', () => {
    expect(csvText([{ a: 1, b: 'x,"y"\n' }, { c: true }])).toBe('a,b,c\r\n1,"x,""y""\n",\r\n,,true\r\n');
  });

  test('choices', () => {
    expect(choices(4, 3)).toEqual([
      [0, 1, 2],
      [0, 1, 3],
      [0, 2, 3],
      [1, 2, 3],
    ]);
    expect(choices(5, 2)).toHaveLength(10);
  });
});

/** The engine on a real GPU: what is loaded, re-blended, drawn and stopped, and when. */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bytesSource, readPngText } from '@diffusion-soup/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cook } from '../../packages/cli/src/tui/engine/cook.ts';
import { jobOf, jobsFor, SKETCH_STEPS } from '../../packages/cli/src/tui/engine/jobs.ts';
import type { Drawn, EngineEvent, Soup } from '../../packages/cli/src/tui/engine/protocol.ts';
import { GpuStove } from '../../packages/cli/src/tui/engine/stove.ts';
import { FIRST_PICTURE } from '../../packages/cli/src/tui/state/picture.ts';
import { scratch } from '../support/cli.ts';
import { PANTRY, REFERENCE } from '../support/files.ts';

const PATIENCE_MS = 240_000;
const STEPS = 2 * SKETCH_STEPS + 1; // the fewest that have a sketch before them
const LONG = { ...FIRST_PICTURE, steps: 400 };
const PICTURE = { ...FIRST_PICTURE, steps: STEPS };

const events: EngineEvent[] = [];
const out = scratch();
let stove: GpuStove;
let cook: Cook;

beforeAll(() => {
  mkdirSync(out.in('pantry'));
  for (const name of ['base', 'ink', 'noto']) symlinkSync(join(PANTRY, name), out.in(`pantry/${name}`));
  symlinkSync(join(REFERENCE, 'sd15-tiny'), out.in('pantry/other'));
  const tell = (event: EngineEvent) => void events.push(event);
  stove = new GpuStove({ SOUP_PANTRY: out.in('pantry') }, out.in('pictures'), tell);
  cook = new Cook(stove, tell);
});
afterAll(() => out.remove());

const soup = (ink: number, noto: number): Soup => ({
  portions: [
    { id: 'ink', weight: ink },
    { id: 'noto', weight: noto },
  ],
});

async function seen<T>(find: () => T | undefined): Promise<T> {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; ) {
    const found = find();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(
    `not seen: ${find}\n${JSON.stringify(events.slice(-20), (_, value) => (typeof value === 'bigint' ? String(value) : value instanceof Uint8Array ? value.length : value))}`,
  );
}

const since = (from: number) => events.slice(from);
const steps = (from: number, total: number): number[] =>
  since(from).flatMap((event) =>
    event.type === 'work' && event.work.phase === 'drawing' && event.work.total === total ? [event.work.done] : [],
  );
const phases = (from: number) => [
  ...new Set(since(from).flatMap((event) => (event.type === 'work' ? [event.work.phase] : []))),
];
const picture = (from: number, effort: Drawn['effort']): Promise<Drawn> =>
  seen(
    () =>
      since(from).flatMap((event) =>
        event.type === 'picture' && event.picture.effort === effort ? [event.picture] : [],
      )[0],
  );

test('a model that does not fit is explained, with nothing loaded', async () => {
  await cook.inspect(['base', 'ink', 'noto', 'other', 'none'], ['noto']);
  const inspected = await seen(() => events.find((event) => event.type === 'inspected'));
  const problems = Object.fromEntries(inspected.found.map(({ id, problem }) => [id, problem]));
  expect(problems).toEqual({ other: expect.any(String), none: expect.stringContaining('none') });
  expect(problems.other).toMatch(/is .+ in \S*noto\S* (but|and) .+ in/);
  expect(phases(0)).toEqual([]);
  expect(events.find((event) => event.type === 'memory')).toMatchObject({ used: 0 });
});

test('a sketch, then the picture; other weights only blend anew; the same weights draw the same pixels again', async () => {
  cook.order({ jobs: jobsFor(soup(0.5, 0.5), PICTURE), restMs: 0 });
  const sketch = await picture(0, 'sketch');
  const first = await picture(0, 'full');
  expect(phases(0)).toEqual(['loading', 'drawing', 'decoding']);
  expect(sketch.image.pixels).not.toEqual(first.image.pixels);

  const turned = events.length;
  cook.order({ jobs: [jobOf(soup(0.7, 0.3), PICTURE, 'full')], restMs: 0 });
  const other = await picture(turned, 'full');
  expect(phases(turned)).toEqual(['blending', 'drawing', 'decoding']);
  expect(other.image.pixels).not.toEqual(first.image.pixels);
  const textsOf = async ({ path }: Drawn) => (await readPngText(bytesSource(readFileSync(path), path))).texts;
  expect((await textsOf(other)).get('parameters')).toContain(`Seed: ${PICTURE.seed}`);

  const back = events.length;
  cook.order({ jobs: [jobOf(soup(1, 1), PICTURE, 'full')], restMs: 0 });
  expect((await picture(back, 'full')).image.pixels).toEqual(first.image.pixels);
});

test('a newer order ends the work on the one before within a step', async () => {
  const from = events.length;
  cook.order({ jobs: [jobOf(soup(0.5, 0.5), LONG, 'full')], restMs: 0 });
  const atChange = await seen(() => steps(from, LONG.steps).at(2));
  cook.order({ jobs: jobsFor(soup(0.2, 0.8), PICTURE), restMs: 0 });
  await picture(from, 'sketch');
  expect(Math.max(...steps(from, LONG.steps))).toBeLessThanOrEqual(atChange + 1);
  expect(since(from).filter(({ type }) => type === 'failed')).toEqual([]);
});

test('so does stopping, even while weights are being read', async () => {
  const from = events.length;
  cook.order({ jobs: [jobOf(soup(0.3, 0.7), LONG, 'full')], restMs: 0 });
  const atStop = await seen(() => steps(from, LONG.steps).at(1));
  cook.stop();
  await seen(() => since(from).find(({ type }) => type === 'stopped'));
  expect(Math.max(...steps(from, LONG.steps))).toBeLessThanOrEqual(atStop + 1);

  const blending = events.length;
  cook.order({ jobs: [jobOf(soup(0.9, 0.1), LONG, 'full')], restMs: 0 });
  cook.stop();
  await seen(() => since(blending).find(({ type }) => type === 'stopped'));
  expect(steps(blending, LONG.steps)).toEqual([]);
});

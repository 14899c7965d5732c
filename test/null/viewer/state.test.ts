/** The page's state over an engine that is played by the test: what is ordered when, and what comes of it. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { EngineEvent, Order } from '../../../packages/viewer/src/messages.ts';
import { EMPTY, keyOf } from '../../../packages/viewer/src/state/document.ts';
import { changed, historyOf, redone, sealed, undone } from '../../../packages/viewer/src/state/history.ts';
import {
  equalised,
  formula,
  newIngredient,
  normalised,
  weighed,
} from '../../../packages/viewer/src/state/ingredients.ts';
import { Kitchen } from '../../../packages/viewer/src/state/kitchen.ts';
import { firstDoc } from '../../../packages/viewer/src/state/listing.ts';
import { gridOf, sweepOf } from '../../../packages/viewer/src/state/sheet.ts';

const doc = { ...EMPTY, ingredients: ['noto', 'ink', 'fluent'].map((name) => newIngredient(name, true)) };
const models = ['noto', 'ink', 'fluent'].map((name) => ({ name, place: { type: 'pantry', path: name } as const }));
const image = { width: 1, height: 1, pixels: new Uint8Array(4) };

let orders: Order[];
let hear: (event: EngineEvent) => void;
let kitchen: Kitchen;
const tick = () => new Promise((resolve) => setTimeout(resolve));
const drawings = () => orders.filter((order) => order.type === 'draw');
const lastOf = (type: Order['type']) => orders.findLast((order) => order.type === type)!;

async function finish(): Promise<void> {
  const { id, key, quality } = drawings().at(-1)!;
  hear({ type: 'image', id, key, quality, image, seconds: 1 });
  hear({ type: 'done', id });
  await tick();
}

async function answerSurvey(confirm: boolean): Promise<void> {
  const { id } = lastOf('survey');
  const bytes = { bytes: 1, fromNetwork: 1, fromCache: 0, fromDisk: 0, gpuResident: 1, gpuLeast: 1 };
  hear({ type: 'survey', id, survey: { ...bytes, confirm } });
  hear({ type: 'done', id });
  await tick();
}

beforeEach(async () => {
  orders = [];
  kitchen = new Kitchen({
    send: (order) => orders.push(order),
    listen: (listener) => {
      hear = listener;
    },
  });
  kitchen.dispatch({ type: 'begin', doc, models });
  const { id } = lastOf('models');
  hear({ type: 'models', id, models: models.map(({ name }) => ({ name, bytes: 1, size: 8, blocks: [] })) });
  await tick();
});

test('a first picture is surveyed, drawn in full, and not drawn again', async () => {
  expect(orders.map(({ type }) => type)).toEqual(['models', 'survey']);
  await answerSurvey(false);
  expect(drawings()).toMatchObject([{ quality: 'full', key: keyOf(doc, 'full'), picture: { steps: 12 } }]);
  await finish();
  kitchen.dispatch({ type: 'equalise' });
  kitchen.dispatch({ type: 'weigh', name: 'noto', weight: '2' });
  kitchen.dispatch({ type: 'undo' });
  await tick();
  expect(drawings().length).toBe(2); // the other weight; back again is remembered
  expect(lastOf('cancel')).toMatchObject({ target: drawings()[1]!.id });
});

test('what is big is asked about first, and once', async () => {
  await answerSurvey(true);
  expect(drawings()).toEqual([]);
  expect(kitchen.state.value.question?.confirm).toBe(true);
  kitchen.dispatch({ type: 'allow', loadKey: kitchen.state.value.question!.loadKey });
  kitchen.dispatch({ type: 'weigh', name: 'ink', weight: '0.5' });
  expect(orders.filter(({ type }) => type === 'survey').length).toBe(1);
  expect(drawings().length).toBe(2);
});

test('a slider that moves has coarse pictures, each finished, the newest value next; at rest it is the full one', async () => {
  await answerSurvey(false);
  for (const weight of ['0.9', '0.8', '0.7']) kitchen.move({ type: 'weigh', name: 'noto', weight, by: 'noto' });
  const weightOf = (order: Order) => order.type === 'draw' && order.blend.portions[0]!.weight;
  expect(drawings().map((order) => [order.quality, weightOf(order)])).toEqual([
    ['full', '1'],
    ['coarse', '0.9'],
  ]);
  await finish();
  expect(drawings().map(weightOf)).toEqual(['1', '0.9', '0.7']);
  kitchen.settle();
  expect(drawings().at(-1)).toMatchObject({ quality: 'full', picture: { steps: 12 } });
  kitchen.dispatch({ type: 'undo' });
  expect(kitchen.state.value.doc.present).toEqual(doc); // all of the turning at once
});

test('a slider that is held still is drawn in full, and goes on being the same turn', async () => {
  await answerSurvey(false);
  kitchen.move({ type: 'weigh', name: 'noto', weight: '0.9', by: 'noto' });
  await new Promise((resolve) => setTimeout(resolve, 450));
  expect(kitchen.state.value.isMoving).toBe(false);
  kitchen.move({ type: 'weigh', name: 'noto', weight: '0.8', by: 'noto' });
  kitchen.settle();
  kitchen.move({ type: 'weigh', name: 'noto', weight: '0.7', by: 'noto' });
  kitchen.dispatch({ type: 'undo' });
  expect(kitchen.state.value.doc.present.ingredients[0]!.weight).toBe('0.8');
  kitchen.dispatch({ type: 'undo' });
  expect(kitchen.state.value.doc.present).toEqual(doc);
});

test('after a failure nothing is drawn until the button, and nothing is lost', async () => {
  await answerSurvey(false);
  const { id } = drawings().at(-1)!;
  hear({ type: 'failed', id, kind: 'device-lost', sentence: 'The GPU went away.', remedy: 'Draw again.' });
  await tick();
  kitchen.dispatch({ type: 'weigh', name: 'ink', weight: '1/3' });
  expect(drawings().length).toBe(1);
  expect(kitchen.state.value.failure?.sentence).toBe('The GPU went away.');
  kitchen.dispatch({ type: 'redraw' });
  expect(drawings().at(-1)!.blend.portions[1]).toEqual({ name: 'ink', weight: '1/3' });
});

test('stopped means stopped, until something changes', async () => {
  await answerSurvey(false);
  kitchen.dispatch({ type: 'stop' });
  expect(lastOf('cancel')).toMatchObject({ target: drawings()[0]!.id });
  await tick();
  expect(drawings().length).toBe(1);
  kitchen.dispatch({ type: 'picture', change: { prompt: 'rocket' } });
  expect(drawings().length).toBe(2);
});

test('cells of a sheet are drawn when the soup itself is', async () => {
  await answerSurvey(false);
  await finish();
  kitchen.dispatch({ type: 'sheet', sheet: sweepOf(doc, ['noto', 'ink'], 3) });
  await answerSurvey(false); // noto alone
  for (let i = 0; i < 3; i++) {
    await finish();
    if (lastOf('survey') === orders.at(-1)) await answerSurvey(false);
  }
  expect(drawings().map(({ blend }) => blend.portions.map(({ name, weight }) => `${weight} ${name}`).join())).toEqual([
    '1 noto,1 ink,1 fluent',
    '1 noto',
    '0.5 noto,0.5 ink',
    '1 ink',
  ]);
});

describe('ingredients', () => {
  test('shares are exact, whatever the weights are written as', () => {
    const third = weighed(weighed(doc.ingredients, 'noto', '1/3'), 'ink', '2/3').slice(0, 2);
    expect(formula(third)).toBe('1/3 noto + 2/3 ink');
    const same = weighed(weighed(doc.ingredients, 'noto', '2'), 'ink', '4').slice(0, 2);
    const key = (ingredients: typeof doc.ingredients) => keyOf({ ...doc, ingredients }, 'full');
    expect(key([...same].reverse())).toBe(key(third));
    expect(key([...weighed(same, 'ink', '4.001')])).not.toBe(key(third));
    expect(formula([])).toBe('nothing yet');
  });

  test('equalising and normalising leave locked ones alone', () => {
    const locked = doc.ingredients.map((one) => (one.name === 'ink' ? { ...one, weight: '0.5', locked: true } : one));
    expect(equalised(locked).map(({ weight }) => weight)).toEqual(['0.25', '0.5', '0.25']);
    expect(normalised(weighed(locked, 'noto', '3')).map(({ weight }) => weight)).toEqual(['0.375', '0.5', '0.125']);
  });

  test('a grid has the corners it says', () => {
    const { cells } = gridOf(doc, ['noto', 'ink', 'fluent'], 3);
    expect(cells.map((cell) => formula(cell.doc.ingredients))).toEqual([
      '1 noto',
      '1/2 noto + 1/2 ink',
      '1 ink',
      '1/2 noto + 1/2 fluent',
      '1/4 noto + 1/4 ink + 1/2 fluent',
      '1/2 ink + 1/2 fluent',
      '1 fluent',
      '1 fluent',
      '1 fluent',
    ]);
  });
});

test('history: one go is undone at once, and a new change forgets what was undone', () => {
  let history = changed(changed(historyOf(0), 1, 'a'), 2, 'a');
  expect(undone(history).present).toBe(0);
  expect(redone(undone(history)).present).toBe(2);
  history = changed(sealed(history), 3, 'a');
  expect(undone(history).present).toBe(2);
  expect(redone(changed(undone(history), 9)).present).toBe(9);
});

test('the first soup is the shards in equal parts, with the base', () => {
  const listed = [
    { name: 'base', role: 'base' },
    { name: 'ink', role: 'shard' },
    { name: 'paragon', role: 'model' },
  ] as const;
  const first = firstDoc({ models: listed.map((one) => ({ ...one, path: one.name, kind: 'folder', bytes: 1 })) });
  expect(first.base).toBe('base');
  expect(first.ingredients.map(({ name, on }) => [name, on])).toEqual([
    ['ink', true],
    ['paragon', false],
  ]);
});

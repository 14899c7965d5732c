/** Models of this computer over a reload: opened, asked for by a click, or picked again. */
import { expect, test } from 'vitest';
import type { ModelReference } from '../../../packages/viewer/src/messages.ts';
import { type Handle, type Handles, openAgain, pickedOf, reopened } from '../../../packages/viewer/src/picked.ts';
import { EMPTY } from '../../../packages/viewer/src/state/document.ts';
import { newIngredient } from '../../../packages/viewer/src/state/ingredients.ts';
import { reduce } from '../../../packages/viewer/src/state/reducer.ts';
import { initialState } from '../../../packages/viewer/src/state/state.ts';

interface Facts {
  readonly now?: PermissionState;
  readonly answer?: PermissionState;
  readonly isGone?: boolean;
}

function handle(kind: 'file' | 'directory', { now = 'granted', answer = 'granted', isGone }: Facts = {}): Handle {
  const gone = () => {
    if (isGone) throw new DOMException('gone', 'NotFoundError');
  };
  return {
    kind,
    queryPermission: async () => now,
    requestPermission: async () => answer,
    async getFile() {
      gone();
      return new File([], 'a.safetensors');
    },
    async *keys() {
      gone();
      yield 'unet';
    },
  } as unknown as Handle;
}

const shelf = (handles: Readonly<Record<string, Handle>>): Handles => ({
  all: async () => new Map(Object.entries(handles)),
  async keep() {},
});
const picked = (...names: string[]) => names.map((name) => ({ name, weight: '1/3', on: true }));

test('what may be read is there at once, what has to be asked for waits, what is lost is said', async () => {
  const handles = {
    file: handle('file'),
    folder: handle('directory'),
    asked: handle('directory', { now: 'prompt' }),
    gone: handle('directory', { isGone: true }),
  };
  const { models, closed } = await reopened(picked('file', 'folder', 'asked', 'gone', 'never'), shelf(handles));
  expect(models.map(({ name, place }) => [name, place.type])).toEqual([
    ['file', 'file'],
    ['folder', 'directory'],
  ]);
  expect(closed.map(({ name, handle }) => [name, handle !== undefined])).toEqual([
    ['asked', true],
    ['gone', false],
    ['never', false],
  ]);
});

test('without a store of handles all have to be picked again', async () => {
  const broken: Handles = { all: () => Promise.reject(new Error('private window')), async keep() {} };
  expect((await reopened(picked('a'), broken)).closed).toEqual(picked('a'));
});

test('a click opens what the visitor allows', async () => {
  const handles = [handle('file', { now: 'prompt' }), handle('file', { answer: 'denied' }), undefined];
  const closed = picked('yes', 'no', 'lost').map((one, i) => ({ ...one, ...(handles[i] && { handle: handles[i] }) }));
  expect((await openAgain(closed)).map(({ name }) => name)).toEqual(['yes']);
});

test('it comes back as it was, and is remembered while it waits', () => {
  const state = { ...initialState(EMPTY), closed: [{ name: 'mine', weight: '1/3', on: false }] };
  expect(pickedOf(state)).toEqual(state.closed);
  const mine: ModelReference = { name: 'mine', place: { type: 'directory', handle: handle('directory') as never } };
  const opened = reduce(state, { type: 'reopen', models: [mine] });
  expect(opened.doc.present.ingredients).toEqual([{ ...newIngredient('mine', false), weight: '1/3' }]);
  expect(opened.closed).toEqual([]);
  expect(opened.doc.past.length).toBe(1);
  expect(pickedOf(opened)).toEqual([
    { name: 'mine', weight: '1/3', on: false, handle: (mine.place as { handle: unknown }).handle },
  ]);
  expect(pickedOf(reduce(opened, { type: 'remove', name: 'mine' }))).toEqual([]);
});

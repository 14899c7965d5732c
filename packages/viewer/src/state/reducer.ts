/** What each action does to the state. Pure: orders to the engine, files and storage are the kitchen's business. */
import type { EngineEvent, ModelReference, PictureSettings, Restored, Survey } from '../messages.js';
import type { Closed } from '../picked.js';
import type { Doc } from './document.js';
import { happened } from './happened.js';
import { changed, historyOf, redone, sealed, undone } from './history.js';
import * as soup from './ingredients.js';
import type { Sheet } from './sheet.js';
import type { Failure, State, Work } from './state.js';

/** `by`: what the hand holds; the same again is undone together with the one before. */
export type DocAction =
  | { readonly type: 'weigh'; readonly name: string; readonly weight: string; readonly by?: string }
  | { readonly type: 'place'; readonly weights: Readonly<Record<string, number>>; readonly by?: string }
  | { readonly type: 'block'; readonly name: string; readonly block: string; readonly factor: string }
  | { readonly type: 'switch' | 'lock' | 'remove'; readonly name: string }
  | { readonly type: 'equalise' | 'normalise' | 'undo' | 'redo' | 'lock-seed' }
  | { readonly type: 'picture'; readonly change: Partial<PictureSettings>; readonly by?: string }
  | { readonly type: 'take'; readonly doc: Doc }
  | { readonly type: 'restore'; readonly restored: Restored };

export type Action =
  | DocAction
  | { readonly type: 'begin'; readonly doc: Doc; readonly models: readonly ModelReference[] }
  | { readonly type: 'add'; readonly models: readonly ModelReference[] }
  | { readonly type: 'engine'; readonly event: EngineEvent; readonly now: number }
  | { readonly type: 'work'; readonly work: Work }
  | { readonly type: 'move'; readonly isMoving: boolean }
  | { readonly type: 'let-go' | 'stop' | 'redraw' | 'released' | 'unpin' | 'pin' | 'close-sheet' }
  | { readonly type: 'ask'; readonly question: Survey & { loadKey: string } }
  | { readonly type: 'allow'; readonly loadKey: string }
  | { readonly type: 'sheet'; readonly sheet: Sheet }
  | { readonly type: 'closed'; readonly closed: readonly Closed[] }
  | { readonly type: 'reopen'; readonly models: readonly ModelReference[] }
  | { readonly type: 'notice'; readonly notice?: string }
  | { readonly type: 'fail'; readonly failure: Failure };

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case 'begin':
      return { ...state, doc: historyOf(action.doc), models: action.models };
    case 'add':
      return withModels(state, action.models);
    case 'closed':
      return { ...state, closed: action.closed };
    case 'reopen':
      return reopened(state, action.models);
    case 'engine':
      return happened(state, action.event, action.now);
    case 'work':
      return action.work.kind === 'merge'
        ? { ...state, merging: action.work, merged: undefined }
        : { ...state, work: action.work };
    case 'move':
      return { ...state, isMoving: action.isMoving };
    case 'let-go':
      return { ...state, isMoving: false, doc: sealed(state.doc) };
    case 'stop':
      return { ...state, isStopped: true, sheet: undefined, question: undefined, said: 'Stopped.' };
    case 'redraw':
      return { ...state, isStopped: false, failure: undefined, notice: undefined };
    case 'released':
      return { ...state, painted: undefined };
    case 'pin':
      return { ...state, pinned: state.doc.present, said: 'Pinned as A.' };
    case 'unpin':
      return { ...state, pinned: undefined };
    case 'ask':
      return { ...state, question: action.question };
    case 'allow':
      return { ...state, question: undefined, allowed: [...state.allowed, action.loadKey] };
    case 'sheet':
      return { ...state, sheet: action.sheet, isStopped: false };
    case 'close-sheet':
      return { ...state, sheet: undefined };
    case 'notice':
      return { ...state, notice: action.notice };
    case 'fail':
      return { ...state, failure: action.failure, said: action.failure.sentence };
    default:
      return changeDoc(state, action);
  }
}

/** Failures that other weights do not mend: only the button goes on from them. */
const STUBBORN: readonly string[] = ['no-webgpu', 'no-adapter', 'limits', 'device-lost', 'out-of-memory', 'quota'];

function changeDoc(state: State, action: DocAction): State {
  const doc = edited(state, action);
  const { failure } = state;
  const keeps = failure && STUBBORN.includes(failure.kind);
  return { ...state, doc, isStopped: false, failure: keeps ? failure : undefined, notice: undefined };
}

function edited({ doc: history, models }: State, action: DocAction): State['doc'] {
  const { present } = history;
  const { ingredients, picture } = present;
  const mix = (next: Doc['ingredients'], by?: string) => changed(history, { ...present, ingredients: next }, by);
  switch (action.type) {
    case 'undo':
      return undone(history);
    case 'redo':
      return redone(history);
    case 'weigh':
      return mix(soup.weighed(ingredients, action.name, action.weight), action.by);
    case 'place':
      return mix(soup.weighedAll(ingredients, action.weights), action.by);
    case 'block':
      return mix(
        soup.blockTurned(ingredients, action.name, action.block, action.factor),
        `${action.name} ${action.block}`,
      );
    case 'switch':
      return mix(soup.switched(ingredients, action.name));
    case 'lock':
      return mix(soup.lockSwitched(ingredients, action.name));
    case 'remove':
      return mix(ingredients.filter(({ name }) => name !== action.name));
    case 'equalise':
      return mix(soup.equalised(ingredients));
    case 'normalise':
      return mix(soup.normalised(ingredients));
    case 'lock-seed':
      return changed(history, { ...present, seedLocked: !present.seedLocked });
    case 'picture':
      return changed(history, { ...present, picture: { ...picture, ...action.change } }, action.by);
    case 'take':
      return changed(history, action.doc);
    case 'restore':
      return changed(history, restoredDoc(present, action.restored, models));
  }
}

/** What was restored, in place of what is there. Ingredients that nothing is known of stay out. */
export function restoredDoc(doc: Doc, { portions, picture, base }: Restored, models: readonly ModelReference[]): Doc {
  const isKnown = (name: string) => models.some((model) => model.name === name);
  const found = portions.filter(({ name }) => isKnown(name));
  const restored = found.map(
    ({ name, weight, blocks = {} }): soup.Ingredient => ({ name, weight, on: true, locked: false, blocks }),
  );
  const others = doc.ingredients.filter(({ name }) => !found.some((one) => one.name === name));
  const all = [...doc.ingredients.map(({ name }) => name), ...found.map(({ name }) => name)];
  const ingredients = [...restored, ...(restored.length > 0 ? others.map((one) => ({ ...one, on: false })) : others)];
  return {
    ...doc,
    // The order of the rows stays: only what is in them changes.
    ingredients: ingredients.sort((a, b) => all.indexOf(a.name) - all.indexOf(b.name)),
    picture: { ...doc.picture, ...picture },
    ...(base !== undefined && isKnown(base) && { base }),
  };
}

/** As they were in the last visit. */
function reopened(state: State, models: readonly ModelReference[]): State {
  const added = withModels(state, models);
  const before = (state.closed ?? []).filter(({ name }) => models.some((model) => model.name === name));
  const ingredients = added.doc.present.ingredients.map((row) => {
    const { weight, on } = before.find(({ name }) => name === row.name) ?? row;
    return { ...row, weight, on };
  });
  const closed = state.closed?.filter((one) => !before.includes(one));
  return { ...added, doc: changed(state.doc, { ...added.doc.present, ingredients }), closed };
}

function withModels(state: State, models: readonly ModelReference[]): State {
  const { present } = state.doc;
  const rows = models.filter(({ name }) => !present.ingredients.some((one) => one.name === name));
  const ingredients = [...present.ingredients, ...rows.map(({ name }) => soup.newIngredient(name, true))];
  return {
    ...state,
    models: [...state.models.filter(({ name }) => !models.some((one) => one.name === name)), ...models],
    doc: changed(state.doc, { ...present, ingredients }),
    isReady: false, // until the engine knows them, too
    isStopped: false,
  };
}

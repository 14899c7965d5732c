/** What each event does to the state. Pure: drawing, files and the clipboard are the business of others. */
import type { EngineEvent } from '../engine/protocol.js';
import { edited, type TypingAction } from './editing.js';
import { happened } from './engine-events.js';
import { changed, redone, sealed, undone } from './history.js';
import { type PictureSettings, turnedField } from './picture.js';
import { gridOf, leaveOneOut, type Sheet, type SheetKind, sweepOf } from './sheet.js';
import {
  blocksSet,
  blockTurned,
  equalised,
  isUsed,
  lockedOrNot,
  newShard,
  normalised,
  type Shard,
  switched,
  turned,
} from './soup.js';
import { type Doc, fieldAt, type Notice, rowsOf, type Screen, type State, shardAt, wantedOf } from './state.js';

type Plain<T extends string> = T extends string ? { readonly type: T } : never;

export type Action =
  | { readonly type: 'resize'; readonly columns: number; readonly rows: number }
  | { readonly type: 'screen'; readonly screen: Screen }
  | { readonly type: 'move'; readonly by: number }
  | { readonly type: 'turn'; readonly by: 1 | -1; readonly coarse: boolean }
  | Plain<'section' | 'axes' | 'flip' | 'pin' | 'pause' | 'redraw' | 'stop'>
  | Plain<'switch' | 'lock' | 'equalise' | 'normalise' | 'undo' | 'redo' | 'rest' | 'take' | 'clear-blocks' | 'forget'>
  | { readonly type: 'leave'; readonly armed: boolean }
  | { readonly type: 'block'; readonly by: number }
  | { readonly type: 'preset'; readonly by: 1 | -1 }
  | { readonly type: 'sheet'; readonly kind: SheetKind }
  | { readonly type: 'cell'; readonly by: number }
  | { readonly type: 'shards'; readonly shards: readonly Shard[] }
  | { readonly type: 'add'; readonly id: string }
  | { readonly type: 'settings'; readonly picture: Partial<PictureSettings> }
  | { readonly type: 'notice'; readonly notice?: Notice }
  | { readonly type: 'saved'; readonly path: string }
  | { readonly type: 'engine'; readonly event: EngineEvent }
  | TypingAction;

const FINE = 0.01;
const COARSE = 0.1;

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case 'resize':
      return { ...state, size: { columns: action.columns, rows: action.rows } };
    case 'screen':
      return { ...state, screen: action.screen, row: rowOn(action.screen, state), notice: undefined };
    case 'move':
      return { ...state, row: wrapped(state.row + action.by, rowsOf(state)), doc: sealed(state.doc) };
    case 'section': {
      const first = state.doc.present.shards.length;
      return { ...state, row: state.row < first ? first : 0, doc: sealed(state.doc) };
    }
    case 'engine':
      return happened(state, action.event);
    case 'notice':
      return { ...state, notice: action.notice };
    case 'saved':
      return { ...state, kept: [...state.kept, { what: 'saved', path: action.path }] };
    case 'leave':
      return { ...state, isLeaving: action.armed };
    case 'stop': {
      const wanted = wantedOf(state.doc.present);
      return { ...state, stopped: wanted?.full.key, sheet: undefined };
    }
    case 'redraw':
      return { ...state, stopped: undefined, notice: undefined };
    case 'pause':
      return { ...state, isPaused: !state.isPaused };
    case 'cell':
      return { ...state, cell: state.sheet ? wrapped(state.cell + action.by, state.sheet.cells.length) : 0 };
    case 'block':
      return {
        ...state,
        blocks: { ...state.blocks, at: wrapped(state.blocks.at + action.by, state.blocks.names.length) },
      };
    case 'axes':
      return state.sheet ? withSheet({ ...state, axes: state.axes + 1 }, state.sheet.kind) : state;
    case 'sheet':
      return withSheet(state, action.kind);
    case 'pin':
    case 'flip':
      return action.type === 'pin' || !state.doc.present.other ? pin(state) : flip(state);
    case 'edit':
    case 'type':
    case 'erase':
    case 'cursor':
    case 'recall':
    case 'submit':
    case 'abandon':
      return edited(state, action);
    default:
      return changeDoc(state, action);
  }
}

type DocType =
  | ('turn' | 'switch' | 'lock' | 'equalise' | 'normalise' | 'undo' | 'redo' | 'rest' | 'take' | 'clear-blocks')
  | ('forget' | 'preset' | 'shards' | 'add' | 'settings');
type DocAction = Extract<Action, { type: DocType }>;

/** Actions that can be undone, and undoing them. */
function changeDoc(state: State, action: DocAction): State {
  const { shards, picture } = state.doc.present;
  const shard = shardAt(state);
  const set = (next: Partial<Doc>, by?: string): State => withDoc(state, { ...state.doc.present, ...next }, by);
  switch (action.type) {
    case 'undo':
      return { ...state, doc: undone(state.doc), notice: undefined };
    case 'redo':
      return { ...state, doc: redone(state.doc), notice: undefined };
    case 'rest':
      return { ...state, doc: sealed(state.doc) };
    case 'turn':
      return turn(state, action.by, action.coarse);
    case 'switch':
      return shard ? set({ shards: switched(shards, shard.id) }) : state;
    case 'lock':
      return shard ? set({ shards: lockedOrNot(shards, shard.id) }) : state;
    case 'equalise':
      return set({ shards: equalised(shards) });
    case 'normalise':
      return set({ shards: normalised(shards) });
    case 'clear-blocks':
      return shard ? set({ shards: blocksSet(shards, shard.id, {}) }) : state;
    case 'forget':
      return shard ? set({ shards: shards.filter(({ id }) => id !== shard.id) }) : state;
    case 'preset':
      return shard ? withPreset(state, shard, action.by) : state;
    case 'take': {
      const cell = state.sheet?.cells[state.cell];
      return cell ? { ...set({ shards: cell.shards }), screen: 'kitchen' } : state;
    }
    case 'shards':
      return set({ shards: action.shards });
    case 'add': {
      const known = shards.some(({ id }) => id === action.id);
      const all = known ? shards : [...shards, newShard(action.id)];
      return { ...set({ shards: all }), row: all.findIndex(({ id }) => id === action.id) };
    }
    case 'settings':
      return set({ picture: { ...picture, ...action.picture } });
  }
}

export const withDoc = (state: State, doc: Doc, by?: string): State => ({
  ...state,
  doc: changed(state.doc, doc, by),
  notice: undefined,
});

function turn(state: State, by: 1 | -1, coarse: boolean): State {
  const { present } = state.doc;
  const { shards, picture } = present;
  const step = by * (coarse ? COARSE : FINE);
  const shard = shardAt(state);
  if (state.screen === 'blocks') {
    const name = state.blocks.names[state.blocks.at];
    if (!shard || name === undefined) return state;
    const next = blockTurned(shards, shard.id, name, by * (coarse ? 0.25 : 0.05));
    return withDoc(state, { ...present, shards: next }, `turn ${shard.id} ${name}`);
  }
  if (shard) return withDoc(state, { ...present, shards: turned(shards, shard.id, step) }, `turn ${shard.id}`);
  const field = fieldAt(state);
  if (!field) return state;
  return withDoc(state, { ...present, picture: turnedField(picture, field, by, coarse) }, `turn ${field}`);
}

/** Blocks are a shard's, and so are soups that it is added to: the focus goes to the first one in the soup. */
function rowOn(screen: Screen, { doc, row }: State): number {
  const { shards } = doc.present;
  if ((screen !== 'blocks' && screen !== 'keep') || row < shards.length) return row;
  return Math.max(0, shards.findIndex(isUsed));
}

const wrapped = (at: number, length: number): number => (length > 0 ? (at + length) % length : 0);

/** The next preset in order; the plain factors are one of them. */
function withPreset(state: State, shard: Shard, by: 1 | -1): State {
  const { presets } = state.blocks;
  const names = Object.keys(presets);
  if (names.length === 0) return state;
  const now = names.findIndex((name) => JSON.stringify(presets[name]) === JSON.stringify(shard.blocks));
  const name = names[wrapped(now < 0 ? (by > 0 ? 0 : -1) : now + by, names.length)];
  const shards = blocksSet(state.doc.present.shards, shard.id, presets[name]);
  const next = withDoc(state, { ...state.doc.present, shards }, `preset ${shard.id}`);
  return { ...next, notice: { kind: 'note', text: `${shard.id}: preset ${name}` } };
}

function pin(state: State): State {
  const text = 'A is this soup. Change something, then press a to flip between A and B.';
  const { other: _, ...here } = state.doc.present;
  return { ...withDoc(state, { ...here, other: here, side: 'B' }), notice: { kind: 'note', text } };
}

function flip(state: State): State {
  const { other, ...here } = state.doc.present;
  return withDoc(state, { ...other!, other: here, side: here.side === 'A' ? 'B' : 'A' });
}

function withSheet(state: State, kind: SheetKind): State {
  const { shards } = state.doc.present;
  const needed = kind === 'grid' ? 3 : 2;
  const used = [...shards.filter(isUsed), ...shards.filter((shard) => !isUsed(shard))].map(({ id }) => id);
  const enough = kind === 'without' ? shards.filter(isUsed).length : used.length;
  if (enough < needed) {
    const text = `${SHEET_NAMES[kind]} needs ${needed} shards${kind === 'without' ? ' in the soup' : ''}`;
    return { ...state, notice: { kind: 'problem', text } };
  }
  const [a, b, c] = used.map((_, i) => used[(i + state.axes) % used.length]);
  const sheet: Sheet =
    kind === 'sweep' ? sweepOf(shards, a, b) : kind === 'grid' ? gridOf(shards, a, b, c) : leaveOneOut(shards);
  return { ...state, screen: 'compare', sheet, cell: 0, stopped: undefined, notice: undefined };
}

const SHEET_NAMES: Readonly<Record<SheetKind, string>> = {
  sweep: 'a sweep',
  grid: 'a grid',
  without: 'leaving one out',
};

/** Which key does what on which screen: the keys, and the hints that tell of them. */
import type { Key } from 'ink';
import { isText } from './state/picture.js';
import type { Action } from './state/reducer.js';
import { fieldAt, type KeepTarget, type State, shardAt } from './state/state.js';

/** Things that reach beyond the state. */
export type Request =
  | { readonly type: 'quit' }
  | { readonly type: 'interrupt' }
  | { readonly type: 'copy' }
  | { readonly type: 'submit' };

export type Meaning = Action | Request;

export type Press = Partial<Key> & { readonly input: string; readonly isPasted?: boolean };

/** The meaning of a key; undefined when it has none here. */
export function meaningOf(state: State, press: Press): Meaning | undefined {
  if (press.ctrl && press.input === 'c') return { type: 'interrupt' };
  if (state.editing) return whileTyping(press);
  const { input } = press;
  if (press.isPasted) return pasted(state, input);
  if (input === 'q') return { type: 'quit' };
  if (press.escape) return { type: 'screen', screen: 'kitchen' };
  if (input === '?') return { type: 'screen', screen: state.screen === 'help' ? 'kitchen' : 'help' };
  return onScreen(state, press) ?? everywhere(state, press);
}

function whileTyping({ input, ...key }: Press): Meaning | undefined {
  if (key.return) return { type: 'submit' };
  if (key.escape) return { type: 'abandon' };
  if (key.leftArrow) return { type: 'cursor', to: 'left' };
  if (key.rightArrow) return { type: 'cursor', to: 'right' };
  if (key.home || (key.ctrl && input === 'a')) return { type: 'cursor', to: 'start' };
  if (key.end || (key.ctrl && input === 'e')) return { type: 'cursor', to: 'end' };
  if (key.upArrow) return { type: 'recall', by: 1 };
  if (key.downArrow) return { type: 'recall', by: -1 };
  // Terminals send DEL for the key that erases what is before the cursor, and Ink calls that "delete".
  if (key.backspace || key.delete) return { type: 'erase', what: 'before' };
  if (key.ctrl && input === 'd') return { type: 'erase', what: 'after' };
  if (key.ctrl && input === 'w') return { type: 'erase', what: 'word' };
  if (key.ctrl && input === 'u') return { type: 'erase', what: 'line' };
  if (key.ctrl || key.meta || key.tab || input === '') return undefined;
  return { type: 'type', text: input };
}

/** Into the field that has the focus; it replaces what is there. Elsewhere it is not taken for keys. */
function pasted(state: State, text: string): Meaning | undefined {
  const target = state.screen !== 'kitchen' ? undefined : shardAt(state) ? 'weight' : fieldAt(state);
  return target && { type: 'edit', target, typed: text };
}

const SCREENS = { b: 'blocks', c: 'compare', s: 'keep' } as const;

function everywhere(state: State, { input, ...key }: Press): Meaning | undefined {
  if (key.ctrl && input === 'r') return { type: 'redo' };
  if (key.ctrl && input === 'z') return { type: 'undo' };
  if (key.ctrl || key.meta) return undefined;
  switch (input) {
    case 'u':
      return { type: 'undo' };
    case 'U':
      return { type: 'redo' };
    case 'a':
      return { type: 'flip' };
    case 'A':
      return { type: 'pin' };
    case 'p':
      return { type: 'pause' };
    case 'r':
      return { type: 'redraw' };
    case 'y':
      return { type: 'copy' };
    case 'b':
    case 'c':
    case 's': {
      const screen = SCREENS[input];
      return { type: 'screen', screen: state.screen === screen ? 'kitchen' : screen };
    }
    default:
      return undefined;
  }
}

function onScreen(state: State, press: Press): Meaning | undefined {
  if (press.ctrl || press.meta) return undefined;
  switch (state.screen) {
    case 'kitchen':
      return inKitchen(state, press);
    case 'blocks':
      return inBlocks(state, press);
    case 'compare':
      return inCompare(state, press);
    case 'keep':
      return inKeep(state, press);
    default:
      return undefined;
  }
}

/** Left and right, a coarse step with Shift; < and > for terminals that keep Shift to themselves. */
function turning({ input, ...key }: Press): Action | undefined {
  const coarse = key.shift === true || input === '<' || input === '>' || input === 'H' || input === 'L';
  if (key.leftArrow || input === '<' || input === 'h' || input === 'H') return { type: 'turn', by: -1, coarse };
  if (key.rightArrow || input === '>' || input === 'L') return { type: 'turn', by: 1, coarse };
  return undefined;
}

function moving({ input, ...key }: Press): Action | undefined {
  if (key.upArrow || input === 'k') return { type: 'move', by: -1 };
  if (key.downArrow || input === 'j') return { type: 'move', by: 1 };
  return key.tab ? { type: 'section' } : undefined;
}

function inKitchen(state: State, press: Press): Meaning | undefined {
  const { input } = press;
  const [field, shard] = [fieldAt(state), shardAt(state)];
  const common = moving(press) ?? turning(press);
  if (common) return common;
  if (field) {
    if (press.return) return { type: 'edit', target: field };
    if (!isText(field) && /^[\d.]/.test(input)) return { type: 'edit', target: field, typed: input };
  }
  if (shard) {
    if (press.return) return { type: 'edit', target: 'weight' };
    if (/^[-\d.]/.test(input)) return { type: 'edit', target: 'weight', typed: input };
    if (input === ' ') return { type: 'switch' };
    if (input === 'l') return { type: 'lock' };
    if (input === 'd') return { type: 'forget' };
  }
  if (input === '=') return { type: 'equalise' };
  if (input === 'n') return { type: 'normalise' };
  return input === '+' ? { type: 'edit', target: 'shard' } : undefined;
}

function inBlocks(state: State, press: Press): Meaning | undefined {
  const { input } = press;
  if (press.leftArrow || input === 'h') return { type: 'block', by: -1 };
  if (press.rightArrow || input === 'l') return { type: 'block', by: 1 };
  if (press.upArrow || input === 'k') return { type: 'turn', by: 1, coarse: press.shift === true };
  if (press.downArrow || input === 'j') return { type: 'turn', by: -1, coarse: press.shift === true };
  if (input === '+' || input === '-') return { type: 'turn', by: input === '+' ? 1 : -1, coarse: true };
  if (press.tab) return { type: 'move', by: nextShard(state, press.shift ? -1 : 1) };
  if (input === 'n' || input === 'N') return { type: 'preset', by: input === 'n' ? 1 : -1 };
  if (input === '0' || press.delete) return { type: 'clear-blocks' };
  return undefined;
}

/** Rows to go to the next shard, past the fields behind the last one. */
function nextShard({ doc, row }: State, by: 1 | -1): number {
  const { length } = doc.present.shards;
  if (length === 0) return 0;
  return row >= length ? -row : ((row + by + length) % length) - row;
}

function inCompare(state: State, press: Press): Meaning | undefined {
  const { input } = press;
  const columns = state.sheet?.columns ?? 1;
  if (press.leftArrow) return { type: 'cell', by: -1 };
  if (press.rightArrow) return { type: 'cell', by: 1 };
  if (press.upArrow) return { type: 'cell', by: -columns };
  if (press.downArrow) return { type: 'cell', by: columns };
  if (press.return) return { type: 'take' };
  if (input === 'w') return { type: 'sheet', kind: 'sweep' };
  if (input === 'g') return { type: 'sheet', kind: 'grid' };
  if (input === 'x') return { type: 'axes' };
  return input === 'o' ? { type: 'sheet', kind: 'without' } : undefined;
}

const KEEP_TARGETS: Readonly<Record<string, KeepTarget>> = {
  1: 'recipe',
  2: 'checkpoint',
  3: 'picture',
  5: 'add',
  6: 'remove',
};

function inKeep(state: State, { input, ...key }: Press): Meaning | undefined {
  if (input === '4') return { type: 'copy' };
  if (key.tab) return { type: 'move', by: nextShard(state, key.shift ? -1 : 1) };
  const target = KEEP_TARGETS[input];
  return target && { type: 'edit', target };
}

/** Of the keys that matter most here, those that fit. */
export function hintsOf(state: State): readonly (readonly [key: string, what: string])[] {
  if (state.editing) return [['enter', 'accept'], ['esc', 'leave as it was'], ...recallHint(state)];
  switch (state.screen) {
    case 'kitchen':
      return shardAt(state) ? SHARD_HINTS : FIELD_HINTS;
    case 'blocks':
      return BLOCK_HINTS;
    case 'compare':
      return COMPARE_HINTS;
    case 'keep':
      return [
        ['1-6', 'choose'],
        ['tab', 'another shard'],
        ['esc', 'kitchen'],
      ];
    case 'help':
      return [
        ['esc', 'kitchen'],
        ['q', 'quit'],
      ];
  }
}

const recallHint = ({ editing }: State): [string, string][] =>
  editing?.target === 'prompt' || editing?.target === 'negative' ? [['↑↓', 'earlier prompts']] : [];

const SHARD_HINTS = [
  ['←→', 'turn'],
  ['space', 'on/off'],
  ['0-9', 'type'],
  ['=', 'equal'],
  ['n', 'normalise'],
  ['l', 'lock'],
  ['tab', 'picture'],
  ['s', 'save'],
  ['u', 'undo'],
  ['?', 'all keys'],
] as const;

const FIELD_HINTS = [
  ['enter', 'edit'],
  ['←→', 'turn'],
  ['↑↓', 'move'],
  ['tab', 'shards'],
  ['s', 'save'],
  ['u', 'undo'],
  ['?', 'all keys'],
] as const;

const BLOCK_HINTS = [
  ['←→', 'block'],
  ['↑↓', 'turn'],
  ['tab', 'next shard'],
  ['n', 'presets'],
  ['0', 'clear'],
  ['esc', 'kitchen'],
] as const;

const COMPARE_HINTS = [
  ['a', 'flip A/B'],
  ['w', 'sweep'],
  ['g', 'grid'],
  ['o', 'leave one out'],
  ['x', 'other shards'],
  ['enter', 'take'],
  ['esc', 'kitchen'],
] as const;

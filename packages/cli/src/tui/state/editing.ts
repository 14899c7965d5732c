/** Typing: into a weight, a field, or the name of a file. What was typed counts when it is submitted. */
import { SoupError } from '@diffusion-soup/core';
import { changed } from './history.js';
import { editedField, type Field, isText, typedField } from './picture.js';
import { parseWeight, weighed } from './soup.js';
import { type EditTarget, type State, shardAt } from './state.js';
import { characters, erased, inserted, lineOf, moved, wordBefore } from './text-line.js';

export type TypingAction =
  | { readonly type: 'edit'; readonly target: EditTarget; readonly text?: string; readonly typed?: string }
  | { readonly type: 'type'; readonly text: string }
  | { readonly type: 'erase'; readonly what: 'before' | 'after' | 'word' | 'line' }
  | { readonly type: 'cursor'; readonly to: 'left' | 'right' | 'start' | 'end' }
  | { readonly type: 'recall'; readonly by: 1 | -1 }
  | { readonly type: 'submit' | 'abandon' };

const MOST_PROMPTS = 200;

export function edited(state: State, action: TypingAction): State {
  if (action.type === 'edit') {
    const text = action.text ?? beginning(state, action.target);
    const line = action.typed === undefined ? lineOf(text) : inserted(lineOf(''), action.typed);
    return { ...state, editing: { target: action.target, line, back: 0, typed: line.text }, notice: undefined };
  }
  const { editing } = state;
  if (!editing) return state;
  const { line } = editing;
  const withLine = (next: typeof line): State => ({
    ...state,
    editing: { ...editing, line: next, back: 0, typed: next.text },
  });
  switch (action.type) {
    case 'type':
      return withLine(inserted(line, action.text));
    case 'erase': {
      const counts = { before: 1, after: -1, word: wordBefore(line), line: line.cursor };
      return withLine(counts[action.what] === 0 ? line : erased(line, counts[action.what]));
    }
    case 'cursor': {
      const far = characters(line.text).length;
      const by = { left: -1, right: 1, start: -far, end: far }[action.to];
      return { ...state, editing: { ...editing, line: moved(line, by) } };
    }
    case 'recall':
      return recall(state, action.by);
    case 'abandon':
      return { ...state, editing: undefined, notice: undefined };
    case 'submit':
      return submitted(state);
  }
}

function beginning(state: State, target: EditTarget): string {
  if (target === 'weight') return String(shardAt(state)?.weight ?? '');
  return isField(target) ? editedField(state.doc.present.picture, target) : '';
}

const isField = (target: EditTarget): target is Field =>
  !['weight', 'shard', 'recipe', 'checkpoint', 'picture', 'add', 'remove'].includes(target);

/** Earlier prompts, and back to what was being typed. */
function recall(state: State, by: 1 | -1): State {
  const editing = state.editing!;
  if (editing.target !== 'prompt' && editing.target !== 'negative') return state;
  const back = Math.min(state.prompts.length, Math.max(0, editing.back + by));
  const text = back === 0 ? editing.typed : state.prompts[back - 1];
  return { ...state, editing: { ...editing, back, line: lineOf(text) } };
}

/** Lines that name files are for others to act on; here they are only closed. */
function submitted(state: State): State {
  const { target, line } = state.editing!;
  const closed: State = { ...state, editing: undefined, notice: undefined };
  const { shards, picture } = state.doc.present;
  try {
    if (target === 'weight') {
      const shard = shardAt(state);
      if (!shard) return closed;
      const next = weighed(shards, shard.id, parseWeight(line.text));
      return { ...closed, doc: changed(state.doc, { ...state.doc.present, shards: next }) };
    }
    if (!isField(target)) return closed;
    const doc = changed(state.doc, { ...state.doc.present, picture: typedField(picture, target, line.text) });
    return isText(target) ? { ...closed, doc, prompts: remembered(state.prompts, line.text) } : { ...closed, doc };
  } catch (error) {
    if (!(error instanceof SoupError)) throw error;
    return { ...state, notice: { kind: 'problem', text: error.message } };
  }
}

export function remembered(prompts: readonly string[], text: string): readonly string[] {
  const prompt = text.trim();
  if (prompt === '') return prompts;
  return [prompt, ...prompts.filter((other) => other !== prompt)].slice(0, MOST_PROMPTS);
}

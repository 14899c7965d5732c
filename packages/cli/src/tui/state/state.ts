/** Everything that is on the screen. Views are functions of it, and the reducer is all that changes it. */
import { jobOf, soupOf } from '../engine/jobs.js';
import type { Drawn, Inspected, Job, Kept, Machine, Presets, Work } from '../engine/protocol.js';
import { type History, historyOf } from './history.js';
import { FIELDS, FIRST_PICTURE, type Field, type PictureSettings } from './picture.js';
import type { Sheet } from './sheet.js';
import type { Shard } from './soup.js';
import type { TextLine } from './text-line.js';

/** What a picture is made of. */
export interface Content {
  readonly shards: readonly Shard[];
  readonly picture: PictureSettings;
  /** Where parts come from that no shard has, if a recipe names it. */
  readonly base?: string;
}

/** What can be undone: with A and B, both of them, or undoing a flip would lose one. */
export interface Doc extends Content {
  readonly other?: Content;
  /** Which of the two this is. */
  readonly side: 'A' | 'B';
}

export type Screen = 'kitchen' | 'blocks' | 'compare' | 'keep' | 'help';

/** What a line that is being typed is for. */
export type EditTarget = 'weight' | Field | 'shard' | KeepTarget;
export type KeepTarget = 'recipe' | 'checkpoint' | 'picture' | 'add' | 'remove';

export interface Editing {
  readonly target: EditTarget;
  readonly line: TextLine;
  /** How far back in the history of prompts; 0 is what was typed. */
  readonly back: number;
  readonly typed: string;
}

export interface Notice {
  readonly kind: 'note' | 'problem';
  readonly text: string;
}

export interface State {
  readonly size: { readonly columns: number; readonly rows: number };
  readonly screen: Screen;
  readonly doc: History<Doc>;
  /** The row of the kitchen that keys go to: a shard, or a field behind the shards. */
  readonly row: number;
  readonly blocks: { readonly names: readonly string[]; readonly presets: Presets; readonly at: number };
  readonly editing?: Editing;
  readonly inspected: Readonly<Record<string, Inspected>>;
  readonly machine?: Machine;
  readonly memory?: { readonly used: number; readonly budget: number };
  readonly secondsPerStep?: number;
  readonly work?: Work;
  /** The newest last. */
  readonly pictures: readonly Drawn[];
  readonly sheet?: Sheet;
  readonly cell: number;
  /** Which shards a sheet goes between: those of the soup, from this one on. */
  readonly axes: number;
  /** Nothing is drawn until it is asked for. */
  readonly isPaused: boolean;
  /** The picture whose work the user stopped: it is not begun again by itself. */
  readonly stopped?: string;
  readonly notice?: Notice;
  /** The newest first. */
  readonly prompts: readonly string[];
  readonly kept: readonly Kept[];
  /** One more Ctrl-C quits. */
  readonly isLeaving: boolean;
  /** Where the log is, if there is one. */
  readonly log?: string;
}

export interface Beginning {
  readonly shards: readonly Shard[];
  readonly picture?: Partial<PictureSettings>;
  readonly base?: string;
  readonly size: State['size'];
  readonly prompts?: readonly string[];
  readonly log?: string;
}

export function initialState({ shards, picture, base, size, prompts = [], log }: Beginning): State {
  const content = { shards, picture: { ...FIRST_PICTURE, ...picture }, ...(base !== undefined && { base }) };
  return {
    size,
    screen: 'kitchen',
    doc: historyOf<Doc>({ ...content, side: 'B' }),
    ...(log !== undefined && { log }),
    row: 0,
    blocks: { names: [], presets: {}, at: 0 },
    inspected: {},
    pictures: [],
    cell: 0,
    axes: 0,
    isPaused: false,
    prompts,
    kept: [],
    isLeaving: false,
  };
}

export const rowsOf = ({ doc }: State): number => doc.present.shards.length + FIELDS.length;

export const shardAt = ({ doc, row }: State): Shard | undefined => doc.present.shards[row];

export const fieldAt = ({ doc, row }: State): Field | undefined => FIELDS[row - doc.present.shards.length];

export interface Wanted {
  readonly full: Job;
  readonly sketch: Job;
}

/** The pictures of a soup, in both efforts; undefined when there is no soup to draw. */
export function wantedOf({ shards, picture, base }: Content): Wanted | undefined {
  const soup = soupOf(shards, base);
  return soup && { full: jobOf(soup, picture, 'full'), sketch: jobOf(soup, picture, 'sketch') };
}

export const pictureOf = ({ pictures }: Pick<State, 'pictures'>, key: string): Drawn | undefined =>
  pictures.find((picture) => picture.key === key);

export interface Shown {
  readonly picture: Drawn;
  /** Of the soup as it is now, or of an earlier one. */
  readonly isCurrent: boolean;
}

/** The best picture there is of a soup; failing that, the latest of all. */
export function shownOf(state: State, doc: Content = state.doc.present): Shown | undefined {
  const wanted = wantedOf(doc);
  const found = wanted && (pictureOf(state, wanted.full.key) ?? pictureOf(state, wanted.sketch.key));
  if (found) return { picture: found, isCurrent: true };
  const last = state.pictures.at(-1);
  return last && { picture: last, isCurrent: false };
}

/** Everything that is on the page. Views are functions of it, and the reducer is all that changes it. */
import type { Image } from '@diffusion-soup/core';
import type { FailureKind, KnownModel, ModelReference, Quality, Survey } from '../messages.js';
import type { Closed } from '../picked.js';
import { type Doc, EMPTY, keyOf } from './document.js';
import { type History, historyOf } from './history.js';
import type { Sheet } from './sheet.js';

export interface Drawn {
  readonly key: string;
  readonly doc: Doc;
  readonly quality: Quality;
  readonly image: Image;
  readonly seconds: number;
}

export interface Work {
  readonly id: number;
  readonly kind: 'draw' | 'merge';
  /** Of the picture that is being drawn. */
  readonly key?: string;
  readonly doc?: Doc;
  readonly quality?: Quality;
  /** "Reading UNet from the cache". */
  readonly label: string;
  /** "12 of 48 MB, 3 s left". */
  readonly detail: string;
  /** 0 to 1; undefined before there is anything to count. */
  readonly part?: number;
  /** When its first step ended, in milliseconds: seconds per step are from there on. */
  readonly since?: number;
}

export interface Failure {
  readonly kind: FailureKind;
  readonly sentence: string;
  readonly remedy: string;
}

export interface State {
  readonly doc: History<Doc>;
  readonly models: readonly ModelReference[];
  readonly known: Readonly<Record<string, KnownModel>>;
  /** The engine has been told of the models, and can draw. */
  readonly isReady: boolean;
  readonly machine?: { readonly adapter: string; readonly precision: string; readonly painting: string };
  readonly memory?: { readonly used: number; readonly peak: number };
  readonly cache?: { readonly used: number; readonly quota: number };
  /** The newest last. */
  readonly pictures: readonly Drawn[];
  readonly work?: Work;
  readonly merging?: Work;
  readonly merged?: { readonly bytes: number; readonly hash: string };
  readonly failure?: Failure;
  /** Of the picture that the canvas has. */
  readonly painted?: string;
  /** Of the step before, where the canvas cannot be painted. */
  readonly preview?: Image;
  /** A control is being turned. */
  readonly isMoving: boolean;
  /** The user stopped the drawing: nothing is drawn until something changes. */
  readonly isStopped: boolean;
  /** What to ask before it is loaded. */
  readonly question?: Survey & { readonly loadKey: string };
  /** What may be loaded without asking (again). */
  readonly allowed: readonly string[];
  readonly pinned?: Doc;
  readonly sheet?: Sheet;
  readonly notice?: string;
  /** Models on this computer that the last visit had, and this one cannot read as yet. */
  readonly closed?: readonly Closed[];
  /** What a screen reader is told. */
  readonly said: string;
}

export const initialState = (doc: Doc = EMPTY): State => ({
  doc: historyOf(doc),
  models: [],
  known: {},
  isReady: false,
  pictures: [],
  isMoving: false,
  isStopped: false,
  allowed: [],
  said: '',
});

export const pictureOf = ({ pictures }: Pick<State, 'pictures'>, key: string): Drawn | undefined =>
  pictures.find((picture) => picture.key === key);

/** The best picture there is of a soup. */
export const bestOf = (state: Pick<State, 'pictures'>, doc: Doc): Drawn | undefined =>
  pictureOf(state, keyOf(doc, 'full')) ?? pictureOf(state, keyOf(doc, 'coarse'));

/** What is shown: of the soup as it is, or failing that the last there was. */
export const shownOf = (state: State): Drawn | undefined =>
  bestOf(state, state.doc.present) ??
  state.pictures.findLast(({ doc }) => !isCell(state, doc)) ??
  state.pictures.at(-1);

const isCell = ({ sheet }: State, doc: Doc): boolean => sheet?.cells.some((cell) => cell.doc === doc) ?? false;

/** Whether what is being drawn is the soup itself, and not a cell of a sheet or the pinned one. */
export const isDrawingThis = ({ work, doc }: State): boolean =>
  work?.doc !== undefined && work.key === keyOf(doc.present, work.quality!);

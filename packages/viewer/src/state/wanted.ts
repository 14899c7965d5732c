/** What is to be drawn next. The newest value wins: this is asked again after every change. */
import type { Quality } from '../messages.js';
import { blendOf, type Doc, keyOf } from './document.js';
import { pictureOf, type State } from './state.js';

export interface Wanted {
  readonly doc: Doc;
  readonly quality: Quality;
  readonly key: string;
}

/** First the soup as it is, coarse while it is being turned; at rest the pinned one, and the cells of a sheet. */
export function wantedOf(state: State): Wanted | undefined {
  if (!state.isReady || state.failure || state.isStopped || state.question) return undefined;
  const { present } = state.doc;
  if (state.isMoving) {
    const full = missing(state, present, 'full');
    const coarse = full && missing(state, present, 'coarse');
    return coarse?.key === full?.key ? full : coarse; // of few steps they are the same
  }
  const docs = [present, ...(state.pinned ? [state.pinned] : []), ...(state.sheet?.cells ?? []).map(({ doc }) => doc)];
  for (const doc of docs) {
    const wanted = missing(state, doc, 'full');
    if (wanted) return wanted;
  }
  return undefined;
}

function missing(state: State, doc: Doc, quality: Quality): Wanted | undefined {
  const key = keyOf(doc, quality);
  return blendOf(doc).portions.length === 0 || pictureOf(state, key) ? undefined : { doc, quality, key };
}

export type Step = 'nothing' | 'cancel' | { readonly draw: Wanted };

/**
 * What follows for the engine. A coarse picture under way is finished before the next one: cancelled at every move of a
 * slider, none would ever be seen.
 */
export function nextStep(state: State): Step {
  const wanted = wantedOf(state);
  const { work } = state;
  if (!wanted) return work && !state.question ? 'cancel' : 'nothing';
  if (!work) return { draw: wanted };
  if (work.key === wanted.key) return 'nothing';
  return work.quality === 'coarse' && wanted.quality === 'coarse' ? 'nothing' : { draw: wanted };
}

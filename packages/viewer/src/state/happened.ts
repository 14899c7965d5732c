/** What the engine says, as it changes the state. */
import { formatBytes } from '@diffusion-soup/core';
import type { EngineEvent } from '../messages.js';
import { keyOf, previewEvery } from './document.js';
import type { State, Work } from './state.js';

/** Of pictures that are remembered; each of the pantry's is 64 kB. */
const MOST_PICTURES = 150;

export const ORIGINS = { network: 'Fetching', cache: 'Reading from the cache:', disk: 'Reading from disk:' } as const;

export function happened(state: State, event: EngineEvent, now: number): State {
  const isWork = event.id === state.work?.id;
  switch (event.type) {
    case 'machine': {
      const { adapter, precision, painting } = event;
      return { ...state, machine: { adapter, precision, painting } };
    }
    case 'models':
      return { ...state, isReady: true, known: Object.fromEntries(event.models.map((one) => [one.name, one])) };
    case 'cache':
      return { ...state, cache: { used: event.used, quota: event.quota } };
    case 'memory':
      return { ...state, memory: { used: event.used, peak: event.peak } };
    case 'loading': {
      const { origin, part, bytes, total, eta } = event;
      const left = eta === undefined ? '' : `, ${seconds(eta)} left`;
      const detail = `${formatBytes(bytes)} of ${formatBytes(total)}${left}`;
      return withWork(state, event.id, { label: `${ORIGINS[origin]} ${part}`, detail, part: ratio(bytes, total) });
    }
    case 'step':
      return isWork ? stepped(state, event, now) : state;
    case 'image':
      return drawn(state, event);
    case 'merging': {
      const detail = `${formatBytes(event.bytes)} of ${formatBytes(event.total)}`;
      return withWork(state, event.id, { label: 'Merging', detail, part: ratio(event.bytes, event.total) });
    }
    case 'merged':
      return { ...state, merged: { bytes: event.bytes, hash: event.hash }, said: 'The merged model is saved.' };
    case 'failed':
      return failed(state, event);
    case 'done':
    case 'cancelled':
      return ended(state, event.id);
    default:
      return state;
  }
}

function withWork(state: State, id: number, change: Partial<Work>): State {
  if (state.work?.id === id) return { ...state, work: { ...state.work, ...change } };
  if (state.merging?.id === id) return { ...state, merging: { ...state.merging, ...change } };
  return state;
}

const ratio = (part: number, whole: number): number => (whole > 0 ? Math.min(1, part / whole) : 0);

export const seconds = (value: number): string =>
  value < 10 ? `${value.toFixed(1)} s` : value < 100 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;

function stepped(state: State, event: Extract<EngineEvent, { type: 'step' }>, now: number): State {
  const { step, steps, preview, key } = event;
  const since = state.work!.since ?? (step > 0 ? now : undefined);
  const each = step > 1 && since !== undefined ? (now - since) / 1000 / (step - 1) : undefined;
  const label = state.work!.quality === 'coarse' ? 'Sketching' : 'Drawing';
  const detail = `step ${step} of ${steps}${each === undefined ? '' : `, ${each.toFixed(2)} s each`}`;
  const every = previewEvery(steps);
  const isPainted = !preview && every > 0 && step >= every;
  const next = withWork(state, event.id, { label, detail, part: ratio(step, steps), since });
  return { ...next, ...(preview && { preview }), ...(isPainted && { painted: key }) };
}

function drawn(
  state: State,
  { id, key, quality, image, seconds: took }: Extract<EngineEvent, { type: 'image' }>,
): State {
  const doc = state.work?.id === id ? state.work.doc : undefined;
  if (!doc) return state;
  const pictures = [...state.pictures.filter((one) => one.key !== key), { key, doc, quality, image, seconds: took }];
  const isCurrent = key === keyOf(state.doc.present, 'full');
  return {
    ...state,
    pictures: pictures.slice(-MOST_PICTURES),
    painted: key,
    preview: undefined,
    ...(isCurrent && { said: `Drawn in ${seconds(took)}: ${doc.picture.prompt}` }),
  };
}

function failed(state: State, event: Extract<EngineEvent, { type: 'failed' }>): State {
  const { kind, sentence, remedy } = event;
  const { painted: _, ...rest } = ended(state, event.id);
  return { ...rest, failure: { kind, sentence, remedy }, said: sentence };
}

function ended(state: State, id: number): State {
  if (state.work?.id === id) return { ...state, work: undefined, preview: undefined };
  return state.merging?.id === id ? { ...state, merging: undefined } : state;
}

/** What the engine tells, as changes of the state. */
import { printable } from '../../text.js';
import type { Drawn, EngineEvent } from '../engine/protocol.js';
import type { State } from './state.js';

const MOST_PICTURES = 48;

export function happened(state: State, event: EngineEvent): State {
  switch (event.type) {
    case 'machine':
      return { ...state, machine: event.machine };
    case 'memory':
      return { ...state, memory: { used: event.used, budget: event.budget } };
    case 'speed':
      return { ...state, secondsPerStep: event.secondsPerStep };
    case 'work':
      return { ...state, work: event.work };
    case 'idle':
      return { ...state, work: undefined };
    case 'picture':
      return { ...state, pictures: withPicture(state.pictures, event.picture) };
    case 'blocks':
      return { ...state, blocks: { names: event.names, presets: event.presets, at: 0 } };
    case 'inspected': {
      const found = event.found.map((one) => [one.id, one] as const);
      return { ...state, inspected: { ...state.inspected, ...Object.fromEntries(found) } };
    }
    case 'kept':
      return {
        ...state,
        kept: [...state.kept, event.kept],
        notice: { kind: 'note', text: printable(`${event.kept.what}: ${event.kept.path}`) },
      };
    case 'warning':
      return { ...state, notice: { kind: 'note', text: printable(event.message) } };
    case 'failed':
      return { ...state, work: undefined, notice: { kind: 'problem', text: printable(event.message) } };
    case 'ended':
      return { ...state, work: undefined, machine: undefined, memory: undefined };
    case 'stopped':
      return { ...state, work: undefined, notice: { kind: 'note', text: 'stopped; press r to draw' } };
  }
}

/** A full picture makes its sketch superfluous, but the strip of the last ones keeps both: they look different. */
function withPicture(pictures: readonly Drawn[], picture: Drawn): readonly Drawn[] {
  return [...pictures.filter(({ key }) => key !== picture.key), picture].slice(-MOST_PICTURES);
}

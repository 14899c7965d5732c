/** Between the state and the engine: orders what the state wants, and tells the state what comes of it. */
import { type Signal, signal } from '@preact/signals';
import type { Blend, EngineEvent, Order } from '../messages.js';
import { blendOf, type Doc, loadKey, previewEvery, settingsOf } from './document.js';
import { type Action, reduce } from './reducer.js';
import { initialState, type State } from './state.js';
import { nextStep, type Wanted } from './wanted.js';

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
export type Request = WithoutId<Order>;

export interface Engine {
  send(order: Order): void;
  /** Called once, with who listens. */
  listen(hear: (event: EngineEvent) => void): void;
}

/** Milliseconds without a move until what is being turned counts as at rest, though it may still be held. */
const REST = 400;

export class Kitchen {
  readonly state: Signal<State> = signal(initialState());
  readonly #waiting = new Map<number, (event: EngineEvent) => void>();
  readonly #events: EngineEvent[] = [];
  #last = 0;
  #surveyed: string | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly now: () => number = () => performance.now(),
  ) {
    engine.listen((event) => this.#hear(event));
  }

  readonly dispatch = (...actions: Action[]): void => {
    const before = this.state.value;
    this.state.value = actions.reduce(reduce, before);
    const { models, isReady } = this.state.value;
    const again = !isReady && actions.some(({ type }) => type === 'redraw');
    if (models !== before.models || again) this.order({ type: 'models', models });
    this.#cook();
  };

  /** A control moves: coarse pictures until it rests. */
  readonly move = (action: Action): void => {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.dispatch({ type: 'move', isMoving: false }), REST);
    this.dispatch({ type: 'move', isMoving: true }, action);
  };

  /** It was let go: all of it is undone at once. */
  readonly settle = (): void => {
    clearTimeout(this.#rest);
    this.dispatch({ type: 'let-go' });
  };

  /** The events of an order's own types, once it is done; rejects with the failure's sentence. */
  ask(request: Request): Promise<EngineEvent[]> {
    const events: EngineEvent[] = [];
    const id = ++this.#last;
    const answer = new Promise<EngineEvent[]>((resolve, reject) => {
      this.#waiting.set(id, (event) => {
        if (event.type === 'failed') reject(new Error(`${event.sentence} ${event.remedy}`));
        else if (event.type === 'done' || event.type === 'cancelled') resolve(events);
        else events.push(event);
      });
    });
    this.engine.send({ ...request, id } as Order);
    return answer;
  }

  /** Of events that concern the whole page: the machine, the models, a merge. */
  order(request: Request): number {
    const id = ++this.#last;
    this.engine.send({ ...request, id } as Order);
    return id;
  }

  merge(doc: Doc, target?: FileSystemFileHandle): Promise<EngineEvent[]> {
    const answer = this.ask({ type: 'merge', blend: blendOf(doc), ...(target && { target }) });
    this.dispatch({ type: 'work', work: { id: this.#last, kind: 'merge', label: 'Merging', detail: '' } });
    return answer;
  }

  cancelMerge(): void {
    const { merging } = this.state.value;
    if (merging) this.order({ type: 'cancel', target: merging.id });
  }

  release(): void {
    this.order({ type: 'release' });
    this.dispatch({ type: 'released' });
  }

  #hear(event: EngineEvent): void {
    const waiting = this.#waiting.get(event.id);
    waiting?.(event);
    if (event.type === 'done' || event.type === 'failed' || event.type === 'cancelled') this.#waiting.delete(event.id);
    // Who asked is told of the failure; the page as a whole goes on. A failed merge still ends.
    if (waiting && event.type === 'failed') this.#tell({ type: 'cancelled', id: event.id });
    else this.#tell(event);
  }

  /** Many events between two frames are one change of the page. */
  #tell(event: EngineEvent): void {
    this.#events.push(event);
    if (this.#events.length > 1) return;
    queueMicrotask(() => {
      const now = this.now();
      let state = this.state.value;
      for (const one of this.#events.splice(0)) state = reduce(state, { type: 'engine', event: one, now });
      this.state.value = state;
      this.#cook();
    });
  }

  #cook(): void {
    const step = nextStep(this.state.value);
    if (step === 'nothing') return;
    if (step === 'cancel') {
      this.order({ type: 'cancel', target: this.state.value.work!.id });
      // Its end comes with the next step; until then nothing else is to cancel it again.
      this.state.value = { ...this.state.value, work: undefined };
      return;
    }
    const blend = blendOf(step.draw.doc);
    if (this.state.value.allowed.includes(loadKey(blend))) this.#draw(step.draw);
    else void this.#survey(blend);
  }

  #draw({ doc, quality, key }: Wanted): void {
    const picture = settingsOf(doc, quality);
    const every = previewEvery(picture.steps);
    const id = ++this.#last;
    const work = { id, kind: 'draw', key, doc, quality, label: 'Preparing', detail: '' } as const;
    this.state.value = reduce(this.state.value, { type: 'work', work });
    this.engine.send({ type: 'draw', id, key, blend: blendOf(doc), picture, quality, previewEvery: every });
  }

  /** What would be read for it; big things are asked about. */
  async #survey(blend: Blend): Promise<void> {
    const key = loadKey(blend);
    if (this.#surveyed === key) return;
    this.#surveyed = key;
    // A drawing that fails says why; a survey that fails need not stop it.
    const events = await this.ask({ type: 'survey', blend }).catch((): EngineEvent[] => []);
    if (this.#surveyed === key) this.#surveyed = undefined;
    const found = events.find((event) => event.type === 'survey');
    if (found?.survey.confirm) this.dispatch({ type: 'ask', question: { ...found.survey, loadKey: key } });
    else this.dispatch({ type: 'allow', loadKey: key });
  }
}

/**
 * Which order is done when. Each ends once: done, failed or cancelled.
 *
 * - What needs the GPU is done one at a time. A drawing replaces the one before it, which ends at its next step. A merge
 *   goes before drawings that wait and is not replaced; the drawing under way is finished first. Giving memory back ends
 *   the drawings before it and lets merges finish.
 * - The list of models is read beside that. What was ordered after a list waits until it is known.
 * - What needs neither waits for nobody.
 */
import { CancelledError } from '@diffusion-soup/core';
import type { EngineEvent, Order } from '../messages.js';
import { failureOf } from './failure.js';

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
export type Tell = (event: WithoutId<EngineEvent>) => void;
export type Work = Exclude<Order, { type: 'cancel' | 'lose' }>;

export interface Doing {
  readonly signal: AbortSignal;
  readonly tell: Tell;
}

/** What does the work; the desk only says what, and when to stop. */
export interface Stove {
  work(order: Work, doing: Doing): Promise<void>;
  lose(): void;
}

interface Ticket {
  readonly order: Work;
  readonly abort: AbortController;
  /** The lists of models that were ordered before. */
  readonly after: Promise<void>;
  hasEnded: boolean;
}

export class Desk {
  readonly #open = new Set<Ticket>();
  /** What waits for the GPU, in the order in which it will be done. */
  readonly #waiting: Ticket[] = [];
  #onGpu: Ticket | undefined;
  #lists: Promise<void> = Promise.resolve();

  constructor(
    private readonly stove: Stove,
    private readonly say: (event: EngineEvent) => void,
  ) {}

  take(order: Order): void {
    if (order.type === 'cancel') {
      for (const ticket of this.#open) if (ticket.order.id === order.target) this.#cancel(ticket);
      this.say({ type: 'done', id: order.id });
      return;
    }
    if (order.type === 'lose') {
      this.stove.lose();
      this.say({ type: 'done', id: order.id });
      return;
    }
    const ticket: Ticket = { order, abort: new AbortController(), after: this.#lists, hasEnded: false };
    if (order.type === 'draw' || order.type === 'release') this.#cancelDrawings();
    this.#open.add(ticket);
    switch (order.type) {
      case 'start':
      case 'models':
        this.#lists = this.#attempt(ticket);
        return;
      case 'draw':
      case 'release':
        this.#waiting.push(ticket);
        void this.#useGpu();
        return;
      case 'merge': {
        const drawing = this.#waiting.findIndex(({ order }) => order.type === 'draw');
        this.#waiting.splice(drawing < 0 ? this.#waiting.length : drawing, 0, ticket);
        void this.#useGpu();
        return;
      }
      default:
        void this.#attempt(ticket);
    }
  }

  #cancelDrawings(): void {
    for (const ticket of [...this.#open]) if (ticket.order.type === 'draw') this.#cancel(ticket);
  }

  /** What is on the GPU ends when it is off it; the rest at once. */
  #cancel(ticket: Ticket): void {
    ticket.abort.abort();
    const at = this.#waiting.indexOf(ticket);
    if (at >= 0) this.#waiting.splice(at, 1);
    if (ticket !== this.#onGpu) this.#end(ticket, { type: 'cancelled' });
  }

  async #useGpu(): Promise<void> {
    if (this.#onGpu) return;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      this.#onGpu = next;
      await this.#attempt(next);
      this.#onGpu = undefined;
    }
  }

  async #attempt(ticket: Ticket): Promise<void> {
    const { order, after } = ticket;
    const { signal } = ticket.abort;
    const tell: Tell = (event) => {
      if (!ticket.hasEnded) this.say({ ...event, id: order.id } as EngineEvent);
    };
    try {
      await unlessAborted(after, signal);
      await this.stove.work(order, { signal, tell });
      this.#end(ticket, { type: signal.aborted ? 'cancelled' : 'done' });
    } catch (error) {
      if (signal.aborted || error instanceof CancelledError) {
        this.#end(ticket, { type: 'cancelled' });
        return;
      }
      const failure = failureOf(error);
      if (failure.kind === 'internal') console.error(error); // ours to mend: with all that is known of it
      this.#end(ticket, { type: 'failed', ...failure });
    }
  }

  #end(ticket: Ticket, event: WithoutId<EngineEvent>): void {
    if (ticket.hasEnded) return;
    ticket.hasEnded = true;
    this.#open.delete(ticket);
    this.say({ ...event, id: ticket.order.id } as EngineEvent);
  }
}

function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new CancelledError('stopped on request'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/**
 * Which work is done when. One thing at a time, since there is one GPU; the newest order replaces the one before it,
 * whose work ends at its next step. What is to be kept is done in turn, and no order cancels it.
 */
import { CancelledError, SoupError, throwIfAborted } from '@diffusion-soup/core';
import type { Drawn, EngineEvent, Inspected, Job, KeepTask, Kept, Order } from './protocol.js';

export type Tell = (event: EngineEvent) => void;

export interface Doing {
  readonly signal: AbortSignal;
  readonly tell: Tell;
  /** What waits behind this: pictures, and things to keep. */
  readonly queue: number;
}

/** What does the work; the cook only says what, and when to stop. */
export interface Stove {
  draw(job: Job, doing: Doing): Promise<Drawn>;
  keep(task: KeepTask, doing: Doing): Promise<Kept>;
  inspect(ids: readonly string[], against: readonly string[]): Promise<readonly Inspected[]>;
}

export class Cook {
  #order: Order | undefined;
  readonly #tasks: KeepTask[] = [];
  #now: { readonly abort: AbortController; readonly isKept: boolean } | undefined;
  #isBusy = false;
  #isStopping = false;

  constructor(
    private readonly stove: Stove,
    private readonly tell: Tell,
  ) {}

  order(order: Order): void {
    this.#order = order;
    if (this.#now && !this.#now.isKept) this.#now.abort.abort('newer');
    void this.#work();
  }

  /** Before the pictures that are being drawn: they begin again afterwards. */
  keep(task: KeepTask): void {
    this.#tasks.push(task);
    if (this.#now && !this.#now.isKept) this.#now.abort.abort('keep');
    void this.#work();
  }

  /** Everything, as the user wants it. */
  stop(): void {
    this.#order = undefined;
    this.#tasks.length = 0;
    // Work that a newer order has ended already may still be at its last step.
    this.#isStopping = this.#now !== undefined;
    this.#now?.abort.abort('stop');
    if (!this.#now) this.tell({ type: 'stopped' });
  }

  async inspect(ids: readonly string[], against: readonly string[]): Promise<void> {
    try {
      this.tell({ type: 'inspected', found: await this.stove.inspect(ids, against) });
    } catch (error) {
      this.tell({ type: 'failed', message: messageOf(error) });
    }
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (;;) {
        const task = this.#tasks.shift();
        const order = this.#order;
        if (task)
          await this.#attempt(true, async (doing) => {
            const queue = this.#tasks.length + (order?.jobs.length ?? 0);
            this.tell({ type: 'kept', kept: await this.stove.keep(task, { ...doing, queue }) });
          });
        else if (order) {
          await this.#attempt(false, (doing) => this.#drawAll(order, doing));
          if (this.#order === order && this.#tasks.length === 0) this.#order = undefined;
        } else break;
      }
    } finally {
      this.#isBusy = false;
      this.tell({ type: 'idle' });
    }
  }

  async #drawAll({ jobs, restMs }: Order, doing: Doing): Promise<void> {
    for (const [i, job] of jobs.entries()) {
      if (i > 0 && job.effort === 'full' && jobs[i - 1].effort === 'sketch') await rest(restMs, doing.signal);
      const picture = await this.stove.draw(job, { ...doing, queue: jobs.length - 1 - i });
      throwIfAborted(doing.signal);
      this.tell({ type: 'picture', picture });
    }
  }

  async #attempt(isKept: boolean, work: (doing: Doing) => Promise<void>): Promise<void> {
    const abort = new AbortController();
    this.#now = { abort, isKept };
    try {
      await work({ signal: abort.signal, tell: this.tell, queue: 0 });
    } catch (error) {
      if (!abort.signal.aborted) this.tell({ type: 'failed', message: messageOf(error) });
    } finally {
      this.#now = undefined;
      if (this.#isStopping) this.tell({ type: 'stopped' });
      this.#isStopping = false;
    }
  }
}

/** Users' mistakes are told as they are; ours are named as such, with the stack in the log. */
function messageOf(error: unknown): string {
  if (error instanceof SoupError) return error.message;
  console.error(error);
  return `internal error: ${error instanceof Error ? error.message : String(error)}; the log has more`;
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      if (signal.aborted) reject(new CancelledError('stopped on request'));
      else resolve();
    }
  });
}

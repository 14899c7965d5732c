/** What all who share a queue can see: which soups there are, how much is to be done, and who works on what. */
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { PREFIX } from './connection.js';
import type { Work } from './work.js';

export interface Counts {
  readonly wait: number;
  readonly active: number;
  readonly delayed: number;
  readonly completed: number;
  readonly failed: number;
}

export interface SoupCounts extends Counts {
  readonly queue: string;
  readonly title: string;
}

export interface WorkerState {
  readonly host: string;
  readonly pid: number;
  readonly adapter: string;
  readonly soup?: string;
  readonly done: number;
  readonly failed: number;
  /** When it was last heard of, in ms since 1970. */
  readonly at: number;
}

/** Longer unheard of, a worker is gone. */
const GONE_MS = 90_000;

export interface Board {
  /** The queue of one soup; known to all from then on. */
  queue(name: string, title?: string): Promise<Queue<Work>>;
  soups(): Promise<SoupCounts[]>;
  sayWorker(id: string, state: WorkerState | undefined): Promise<void>;
  workers(): Promise<WorkerState[]>;
  close(): Promise<void>;
}

export function openBoard(redis: Redis, name: string): Board {
  const keys = { soups: `${PREFIX}:${name}:soups`, workers: `${PREFIX}:${name}:workers` };
  const queues = new Map<string, Queue<Work>>();
  const open = (queue: string): Queue<Work> => {
    let found = queues.get(queue);
    if (!found) {
      found = new Queue<Work>(queue, { connection: redis, prefix: PREFIX });
      found.on('error', () => undefined); // it reconnects
      queues.set(queue, found);
    }
    return found;
  };
  return {
    async queue(queue, title) {
      if (title !== undefined) await redis.hset(keys.soups, queue, title);
      return open(queue);
    },
    async soups() {
      const titles = await redis.hgetall(keys.soups);
      return Promise.all(
        Object.entries(titles).map(async ([queue, title]) => {
          const counts = await open(queue).getJobCounts('wait', 'active', 'delayed', 'completed', 'failed');
          const { wait = 0, active = 0, delayed = 0, completed = 0, failed = 0 } = counts;
          return { queue, title, wait, active, delayed, completed, failed };
        }),
      );
    },
    async sayWorker(id, state) {
      if (state) await redis.hset(keys.workers, id, JSON.stringify(state));
      else await redis.hdel(keys.workers, id);
    },
    async workers() {
      const states: WorkerState[] = [];
      for (const [id, text] of Object.entries(await redis.hgetall(keys.workers))) {
        const state = JSON.parse(text) as WorkerState;
        if (Date.now() - state.at < GONE_MS) states.push(state);
        else await redis.hdel(keys.workers, id);
      }
      return states;
    },
    async close() {
      for (const queue of queues.values()) await queue.close();
    },
  };
}

export const sumOf = (soups: readonly Counts[]): Counts => {
  const sum = (key: keyof Counts) => soups.reduce((total, soup) => total + soup[key], 0);
  return {
    wait: sum('wait'),
    active: sum('active'),
    delayed: sum('delayed'),
    completed: sum('completed'),
    failed: sum('failed'),
  };
};

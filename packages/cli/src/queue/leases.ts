/**
 * A job belongs to a worker for as long as it renews its lease. That is done in a thread of its own, so that a busy main
 * thread does not lose its jobs; but the thread stops when nothing was heard of the main thread for minutes, so that a
 * hung one does.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker as Thread } from 'node:worker_threads';
import { Worker } from 'bullmq';
import { openRedis, PREFIX } from './connection.js';

export interface Lease {
  readonly queue: string;
  readonly job: string;
  readonly token: string;
}

export interface LeaseOptions {
  readonly url: string;
  readonly leaseMs: number;
  /** The main thread counts as hung after so long. */
  readonly patienceMs: number;
}

export type ToLeases = { readonly hold: Lease } | { readonly release: string } | { readonly alive: true };

export interface Leases {
  hold(lease: Lease): void;
  release(job: string): void;
  close(): Promise<void>;
}

const THREAD = fileURLToPath(new URL('./lease-thread.js', import.meta.url));

/** Ready to renew when it returns: a main thread that is busy from its first job on keeps that one, too. */
export async function keepLeases(options: LeaseOptions): Promise<Leases> {
  if (!existsSync(THREAD)) return renewer(options); // sources that were not compiled cannot be loaded by a thread
  const thread = new Thread(THREAD, { workerData: options });
  await once(thread, 'message');
  thread.unref();
  // Without it leases run out, and others do the work: late, but right.
  thread.on('error', (error) => process.stderr.write(`soup: leases are not renewed any more: ${String(error)}\n`));
  const post = (message: ToLeases): void => thread.postMessage(message);
  const beat = setInterval(() => post({ alive: true }), 1000);
  beat.unref();
  return {
    hold: (lease) => post({ hold: lease }),
    release: (job) => post({ release: job }),
    async close() {
      clearInterval(beat);
      await thread.terminate();
    },
  };
}

/** Renews, wherever it runs. */
export function renewer({ url, leaseMs }: LeaseOptions, isAlive: () => boolean = () => true): Leases {
  const held = new Map<string, Lease>();
  const workers = new Map<string, Worker>();
  const connection = openRedis(url);
  connection.on('error', () => undefined);
  const workerOf = (queue: string): Worker => {
    let worker = workers.get(queue);
    if (!worker) {
      worker = new Worker(queue, null, { connection, prefix: PREFIX, autorun: false });
      worker.on('error', () => undefined);
      workers.set(queue, worker);
    }
    return worker;
  };
  const renew = async () => {
    if (!isAlive()) return;
    for (const [queue, worker] of workers) {
      const leases = [...held.values()].filter((lease) => lease.queue === queue);
      if (leases.length === 0) continue;
      const ids = leases.map(({ job }) => job);
      await worker
        .extendJobLocks(
          ids,
          leases.map(({ token }) => token),
          leaseMs,
        )
        .catch(() => undefined);
    }
  };
  const timer = setInterval(() => void renew(), Math.floor(leaseMs / 3));
  timer.unref();
  return {
    hold(lease) {
      held.set(lease.job, lease);
      workerOf(lease.queue);
    },
    release: (job) => void held.delete(job),
    async close() {
      clearInterval(timer);
      for (const worker of workers.values()) await worker.close(true);
      connection.disconnect();
    },
  };
}

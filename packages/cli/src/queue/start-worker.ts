/** A worker on this machine's GPU, with its logs beside the pictures. */
import type { Precision } from '@diffusion-soup/core';
import { type Engine, gpuEngine } from '../batch/engine.js';
import { openStore } from '../batch/open-store.js';
import { openResults, type ResultLog } from '../batch/results.js';
import { type SoupOf, soupOpener } from '../batch/soups.js';
import type { Store } from '../batch/store.js';
import { openGpuFor } from '../gpu.js';
import type { Output } from '../output.js';
import { makeFolder } from '../picture-file.js';
import { openBoard } from './board.js';
import { connect, shownUrl } from './connection.js';
import { keepLeases } from './leases.js';
import { type WorkerSummary, work } from './worker.js';

export interface StartOptions {
  readonly queue: string;
  readonly queueName: string;
  /** Tells this worker's log from those of others. */
  readonly name: string;
  readonly untilEmpty?: boolean;
  readonly out?: string;
  /** Seconds. */
  readonly lease: number;
  readonly precision?: Precision | 'auto';
  readonly memory?: number;
  readonly adapter?: string;
  /** In place of the GPU's. */
  readonly engine?: Engine;
  readonly soupOf?: SoupOf;
}

const PATIENCE_MS = 5 * 60_000;

export async function startWorker(options: StartOptions, output: Output): Promise<WorkerSummary> {
  const { env, signal } = output.io;
  const redis = await connect(options.queue);
  const open = () =>
    openGpuFor({ precision: options.precision ?? 'auto', budget: options.memory, adapter: options.adapter });
  const leaseMs = options.lease * 1000;
  const board = openBoard(redis, options.queueName);
  const leases = await keepLeases({ url: options.queue, leaseMs, patienceMs: PATIENCE_MS });
  const stores = new Map<string, Promise<Store>>();
  const logs = new Map<Store, Promise<ResultLog>>();
  const logOf = async (store: Store): Promise<ResultLog> => {
    let log = logs.get(store);
    if (!log) {
      log = makeFolder(store.folder).then(() => openResults(`${store.folder}/results-worker-${options.name}.jsonl`));
      logs.set(store, log);
    }
    return log;
  };
  const engine = options.engine ?? (await gpuEngine({ open, output }));
  try {
    const { adapter, precision } = engine.machine;
    output.note(`working for ${shownUrl(options.queue)} on ${adapter}, ${precision}`);
    const summary = await work({
      ...{ redis, board, leases, engine, leaseMs, signal },
      soupOf: options.soupOf ?? soupOpener({ output }),
      ...(options.untilEmpty && { untilEmpty: true }),
      storeOf(out) {
        const place = options.out ?? out;
        let store = stores.get(place);
        if (!store) {
          store = openStore(place, env);
          stores.set(place, store);
        }
        return store;
      },
      async onResult(result, data, store) {
        await (await logOf(store)).add(result);
        const path = result.path === undefined ? {} : { path: store.locate(result.path) };
        output.result({ type: 'result', ...result, ...path });
        if ('path' in path) output.print(path.path);
        if (result.error) output.error(`${data.path} failed: ${result.error.message}`);
      },
      onStatus: (text) => output.status(text),
      onNote: (text) => output.note(text),
    });
    output.endStatus(`${summary.done} drawn, ${summary.failed} failed`);
    output.result({ type: 'summary', ...summary, warnings: output.warnings });
    return summary;
  } finally {
    for (const log of logs.values()) await (await log).close();
    await leases.close();
    await board.close();
    redis.disconnect();
    await engine.close();
  }
}

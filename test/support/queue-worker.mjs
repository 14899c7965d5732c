/** A worker with a fake engine: queue-worker.mjs URL QUEUE LEASE_SECONDS OPTIONS; says each picture that it draws. */
import { createOutput } from '../../packages/cli/dist/output.js';
import { startWorker } from '../../packages/cli/dist/queue/start-worker.js';
import { fakeEngine, fakeSoupOf } from './fake-engine.mjs';

const [queue, queueName, lease, json = '{}'] = process.argv.slice(2);
const { delay = 0, blockMs = 0, poison = '', untilEmpty = true } = JSON.parse(json);

const engine = fakeEngine({
  delay,
  fail(items) {
    for (const { id, path, settings } of items) {
      process.stdout.write(`${JSON.stringify({ type: 'draw', id, path })}\n`);
      if (poison === 'crash' && settings.prompt === 'poison') process.kill(process.pid, 'SIGKILL');
      if (poison === 'throw' && settings.prompt === 'poison') return new Error('it does not work');
    }
    // As a long computation in the main thread would.
    for (const end = Date.now() + blockMs; Date.now() < end; );
    return undefined;
  },
});
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort('SIGTERM'));
const io = { stdout: process.stdout, stderr: process.stderr, env: process.env, signal: stop.signal };
const options = {
  queue,
  queueName,
  name: String(process.pid),
  untilEmpty,
  lease: Number(lease),
  engine,
  soupOf: fakeSoupOf,
};
await startWorker(options, createOutput(io, { json: true }));
process.exit(0);

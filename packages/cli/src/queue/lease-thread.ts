/** The thread that renews leases: see leases.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { type LeaseOptions, renewer, type ToLeases } from './leases.js';

const options = workerData as LeaseOptions;
let heard = Date.now();
const leases = renewer(options, () => Date.now() - heard < options.patienceMs);

parentPort!.on('message', (message: ToLeases) => {
  heard = Date.now();
  if ('hold' in message) leases.hold(message.hold);
  if ('release' in message) leases.release(message.release);
});
parentPort!.postMessage('ready');

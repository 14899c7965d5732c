/** A thread that hashes what is put into a ring of shared memory: see stream.ts. */
import { parentPort } from 'node:worker_threads';
import { rangeHashes, wholeHash } from './read-file.js';
import type { FromStreamWorker, ToStreamWorker } from './stream.js';

const post = (message: FromStreamWorker): void => parentPort!.postMessage(message);

let start: Exclude<ToStreamWorker, 'end' | { slot: number }>;
let at = 0;
let whole = wholeHash();
let parts = rangeHashes([]);

parentPort!.on('message', (message: ToStreamWorker) => {
  if (message === 'end') {
    post({ digests: start.ranges ? parts.digests() : [whole.digest('hex')] });
  } else if ('ring' in message) {
    start = message;
    whole = wholeHash();
    parts = rangeHashes(message.ranges ?? []);
  } else {
    const piece = new Uint8Array(start.ring, message.slot * start.slotBytes, message.bytes);
    if (start.ranges) parts.update(piece, at);
    else whole.update(piece);
    at += message.bytes;
    post({ slot: message.slot });
  }
});

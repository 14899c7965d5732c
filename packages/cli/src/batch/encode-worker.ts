/** A thread that makes PNGs: see encode.ts. */
import { parentPort } from 'node:worker_threads';
import { encodePng } from '../image/png.js';
import type { Encoded, EncodeJob } from './encode.js';

parentPort!.on('message', ({ id, width, height, pixels, texts }: EncodeJob) => {
  const post = (message: Encoded, transfer: ArrayBuffer[] = []) => parentPort!.postMessage(message, transfer);
  try {
    const bytes = Uint8Array.from(encodePng({ width, height, pixels }, texts));
    post({ id, bytes }, [bytes.buffer]);
  } catch (error) {
    post({ id, failed: error instanceof Error ? error.message : String(error) });
  }
});

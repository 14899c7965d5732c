/** A thread that hashes files, one after the other: see pool.ts. */
import { parentPort } from 'node:worker_threads';
import { type FileHashes, type HashJob, hashFile } from './read-file.js';

export type FromWorker =
  | { readonly bytes: number }
  | { readonly done: FileHashes }
  | { readonly failed: { readonly message: string; readonly code?: string } };

const post = (message: FromWorker): void => parentPort!.postMessage(message);

parentPort!.on('message', async (job: HashJob) => {
  try {
    post({ done: await hashFile(job, (bytes) => post({ bytes })) });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    post({ failed: { message, ...(code !== undefined && { code }) } });
  }
});

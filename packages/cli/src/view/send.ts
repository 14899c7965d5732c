/** Sends a file, or one range of its bytes; never bytes of two versions of it. */
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { isWithin, type ModelFile } from './listing.js';

const CHUNK = 256 * 1024;

type Facts = Awaited<ReturnType<typeof factsOf>>;

const factsOf = (file: FileHandle) => file.stat({ bigint: true });

const tagOf = ({ size, mtimeNs, ino }: Facts): string =>
  `"${[size, mtimeNs, ino].map((n) => n.toString(36)).join('-')}"`;

/** False when there is no such file, or its links lead elsewhere: nothing has been sent then. */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  { path, roots }: ModelFile,
  headers: OutgoingHttpHeaders,
): Promise<boolean> {
  const at = await realpath(path).catch(() => undefined);
  if (at === undefined || !isWithin(at, roots)) return false;
  // What was a file a moment ago may be a link or a pipe now: neither is followed, nor waited for.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const file = await open(at, flags).catch(() => undefined);
  if (!file) return false;
  try {
    const facts = await factsOf(file);
    if (!facts.isFile()) return false;
    await answer(request, response, file, facts, headers);
    return true;
  } finally {
    await file.close();
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  file: FileHandle,
  facts: Facts,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  const size = Number(facts.size);
  const etag = tagOf(facts);
  const all: OutgoingHttpHeaders = { ...headers, etag, 'accept-ranges': 'bytes' };
  if (matches(request.headers['if-none-match'], etag)) {
    response.writeHead(304, all).end();
    return;
  }
  const range = request.method === 'HEAD' ? undefined : rangeOf(request, size, etag);
  if (range === 'none') {
    response.writeHead(416, { ...all, 'content-range': `bytes */${size}`, 'content-length': 0 }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: size };
  all['content-length'] = end - start;
  if (range) all['content-range'] = `bytes ${start}-${end - 1}/${size}`;
  response.writeHead(range ? 206 : 200, all);
  if (request.method === 'HEAD' || start === end) response.end();
  else await copy(response, file, facts, start, end);
}

const matches = (list = '', etag: string): boolean =>
  list.split(',').some((one) => [etag, `W/${etag}`, '*'].includes(one.trim()));

/** Bytes from `start` to before `end`; 'none' for what cannot be given, undefined for the whole. Several: 'none'. */
export function rangeOf({ headers }: Pick<IncomingMessage, 'headers'>, size: number, etag: string) {
  const { range, 'if-range': ifRange } = headers;
  if (range === undefined || !/^bytes=/i.test(range) || (ifRange !== undefined && ifRange !== etag)) return undefined;
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(range) ?? [];
  if (first === '' && last === '') return 'none';
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size);
  return start < end ? { start, end } : 'none';
}

/** The length is promised by now: whatever is wrong from here on ends the connection. */
async function copy(response: ServerResponse, file: FileHandle, facts: Facts, start: number, end: number) {
  const etag = tagOf(facts);
  for (let at = start; at < end; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
    const bytesRead = await file.read(chunk, 0, chunk.length, at).then(
      (result) => result.bytesRead,
      () => 0,
    );
    if (response.destroyed) return;
    if (bytesRead === 0 || tagOf(await factsOf(file)) !== etag) {
      response.destroy();
      return;
    }
    at += bytesRead;
    if (!response.write(chunk.subarray(0, bytesRead))) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

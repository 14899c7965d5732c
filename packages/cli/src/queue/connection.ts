/** A queue's server by its URL: redis:// or rediss:// (TLS), with user and password in it. */
import { SoupError, UsageError } from '@diffusion-soup/core';
import { Redis } from 'ioredis';
import { printable } from '../text.js';

/** The server of a queue does not answer, or does not let us in. */
export class QueueError extends SoupError {
  override name = 'QueueError';
  override readonly exitCode = 7;
}

/** Of all that we keep there. */
export const PREFIX = 'soup';

const FIRST_ANSWER_MS = 10_000;

/** For messages: passwords are nobody's business. */
export function shownUrl(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return printable(`${protocol}//${host}${pathname}`);
  } catch {
    return 'the queue';
  }
}

export function checkUrl(url: string): void {
  if (/^rediss?:\/\/[^/]/i.test(url) && URL.canParse(url)) return;
  throw new UsageError(`--queue ${shownUrl(url)}: expected redis://host:6379, or rediss://user:password@host:6380`);
}

/** Connected, or a QueueError after some seconds. Later it reconnects by itself, for as long as it takes. */
export async function connect(url: string): Promise<Redis> {
  checkUrl(url);
  const redis = openRedis(url, true);
  let last: Error | undefined;
  redis.on('error', (error: Error) => {
    last = error;
  });
  const timer = new Promise<never>((_, reject) => {
    setTimeout(
      () => reject(last ?? new Error(`no answer within ${FIRST_ANSWER_MS / 1000} s`)),
      FIRST_ANSWER_MS,
    ).unref();
  });
  const refused = new Promise<never>((_, reject) => {
    redis.on('error', (error: Error) => {
      if (
        /WRONGPASS|NOAUTH|NOPERM|ENOTFOUND|ECONNREFUSED|certificate/i.test(
          `${error.message} ${(error as NodeJS.ErrnoException).code}`,
        )
      )
        reject(error);
    });
  });
  try {
    await Promise.race([redis.connect().then(() => redis.ping()), timer, refused]);
    return redis;
  } catch (error) {
    redis.disconnect();
    const { message } = last ?? (error as Error);
    throw new QueueError(
      `${shownUrl(url)} does not answer as a queue: ${printable(message)}. Is Redis or Valkey running there, and is the password right?`,
      { queue: shownUrl(url) },
    );
  } finally {
    timer.catch(() => undefined);
    refused.catch(() => undefined);
  }
}

/** Waits for a server that is away: what was asked meanwhile is asked when it is back. */
export const openRedis = (url: string, lazyConnect = false): Redis =>
  new Redis(url, {
    lazyConnect,
    maxRetriesPerRequest: null,
    enableReadyCheck: true,
    retryStrategy: (times: number) => Math.min(2000, 50 * 2 ** Math.min(times, 6)),
  });

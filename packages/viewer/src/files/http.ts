/** Model folders behind URLs, as core's Folder and Source: only the bytes that are read are asked for. */
import { CheckpointError, DiskError, type Folder } from '@diffusion-soup/core';
import type { Cache, Facts } from './cache.js';
import type { Version } from './mirror.js';
import type { ModelFile } from './model-file.js';

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

/** Read from its start to reach a place in it, of a server that knows no ranges. A larger file is refused. */
const MOST_WITHOUT_RANGES = 64 * 1024 * 1024;

export interface HttpOptions {
  /** Where copies are kept, and what to go by without a network. */
  readonly cache?: Cache;
  readonly onBytes?: (origin: 'network' | 'cache', bytes: number) => void;
}

/**
 * The folder at `url`. A file that the server does not have (404, 410) is undefined; every other answer that is not the
 * file, and no answer at all, is a DiskError, unless the cache knows the file.
 */
export function httpFolder(
  url: string,
  ask: Fetch = (...request) => fetch(...request),
  options: HttpOptions = {},
): Folder {
  const { cache } = options;
  const asked = new Map<string, Promise<Facts>>();
  async function factsOf(file: string): Promise<Facts> {
    let head: Response;
    try {
      head = await reach(ask, file, { method: 'HEAD' });
    } catch (error) {
      const known = await cache?.facts(file);
      if (known === undefined) throw error;
      return known;
    }
    const facts = factsIn(file, head);
    await cache?.learn(file, facts);
    return facts;
  }
  return {
    name: url,
    async open(path) {
      const file = `${url.replace(/\/+$/, '')}/${path.split('/').map(encodeURIComponent).join('/')}`;
      const answer = asked.get(file) ?? factsOf(file);
      asked.set(file, answer);
      const forget = () => void asked.delete(file);
      answer.catch(forget);
      const facts = await answer;
      return facts === 'absent' ? undefined : httpFile(ask, path, { url: file, ...facts }, forget, options);
    },
  };
}

/** A strong ETag that is an MD5 or SHA hash, as Hugging Face and object stores have them, is the content's. */
const isContentTag = (tag: string): boolean => /^"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})"$/.test(tag);

function factsIn(file: string, head: Response): Facts {
  if (head.status === 404 || head.status === 410) return 'absent';
  if (!head.ok) throw refused(file, head);
  const length = head.headers.get('content-length');
  if (length === null || !/^\d+$/.test(length)) {
    throw new DiskError(`${file}: the server does not say how long the file is. Use one that sends Content-Length.`);
  }
  // Another site may hide both from the page: then a file of the same length is taken for the same.
  return { size: Number(length), tag: head.headers.get('etag') ?? head.headers.get('last-modified') ?? '' };
}

/** `forget`: the file is another one by now, and has to be asked for again. */
async function httpFile(
  ask: Fetch,
  path: string,
  version: Version,
  forget: () => void,
  { cache, onBytes }: HttpOptions,
): Promise<ModelFile> {
  const { url, size, tag } = version;
  const mirror = await cache?.use(version);
  const fetchInto = async (target: Uint8Array, offset: number): Promise<void> => {
    const end = offset + target.byteLength;
    const response = await reach(ask, url, { headers: { range: `bytes=${offset}-${end - 1}` } });
    try {
      if (!response.ok) throw refused(url, response);
      refuseChanged(url, response, version, offset, end);
      const isRange = response.status === 206;
      if (!isRange && offset > 0 && size > MOST_WITHOUT_RANGES) {
        throw new DiskError(
          `${url}: the server sends whole files only, and this one has ${size} bytes. Use a server with range requests.`,
        );
      }
      await fill(target, response, isRange ? 0 : offset, url);
    } catch (error) {
      if (error instanceof CheckpointError) forget();
      throw error;
    } finally {
      await response.body?.cancel().catch(() => {}); // what is left of it, if anything
    }
  };
  return {
    name: url,
    path,
    // By its content where the server says it: the same file of two models is then one.
    stamp: isContentTag(tag) ? `${new URL(url).origin} ${size} ${tag}` : `${url} ${size} ${tag}`,
    hasVersion: tag !== '',
    size,
    isLocal: false,
    held: (offset, bytes) => mirror?.held(offset, bytes) ?? 0,
    async readInto(target, offset) {
      const end = offset + target.byteLength;
      if (end > size) throw new RangeError(`${url}: wanted ${target.byteLength} bytes at ${offset} of ${size}`);
      if (target.byteLength === 0) return;
      if (mirror) return mirror.readInto(target, offset, fetchInto, (...read) => onBytes?.(...read));
      await fetchInto(target, offset);
      onBytes?.('network', target.byteLength);
    },
    close: async () => cache?.release(url),
  };
}

async function reach(ask: Fetch, url: string, options: RequestInit): Promise<Response> {
  try {
    return await ask(url, options);
  } catch (error) {
    throw new DiskError(
      `${url} cannot be reached: no connection, or the server does not allow this page.`,
      {},
      {
        cause: error,
      },
    );
  }
}

const refused = (url: string, { status }: Response) =>
  new DiskError(`${url}: the server answered ${status}.`, { status });

/** Another site's headers may be hidden from the page: only what is there is compared. */
function refuseChanged(
  url: string,
  { status, headers }: Response,
  { size, tag }: Version,
  from: number,
  end: number,
): void {
  const now = headers.get('etag') ?? headers.get('last-modified');
  const range = status === 206 ? headers.get('content-range') : null;
  const isOther =
    range !== null && range !== `bytes ${from}-${end - 1}/${size}` && range !== `bytes ${from}-${end - 1}/*`;
  if ((tag !== '' && now !== null && now !== tag) || isOther) {
    throw new CheckpointError(`${url} changed while it was read. Load it again.`, { file: url });
  }
}

/** Fills `target` from a body whose first `skip` bytes are not wanted, without ever holding more than a chunk of it. */
async function fill(target: Uint8Array, { body }: Response, skip: number, url: string): Promise<void> {
  const reader = body?.getReader();
  let at = -skip;
  try {
    while (reader && at < target.byteLength) {
      const { done, value } = await reader.read();
      if (done) break;
      const wanted = value.subarray(Math.max(0, -at), Math.max(0, target.byteLength - at));
      target.set(wanted, Math.max(0, at));
      at += value.byteLength;
    }
  } catch (error) {
    throw new DiskError(`${url}: the connection broke off. Try again.`, {}, { cause: error });
  } finally {
    reader?.releaseLock();
  }
  if (at < target.byteLength) throw new DiskError(`${url}: the server sent too few bytes. Try again.`);
}

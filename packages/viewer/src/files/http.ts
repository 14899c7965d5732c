/** Model folders behind URLs, as core's Folder and Source: only the bytes that are read are asked for. */
import { CheckpointError, DiskError, type Folder, type Source } from '@diffusion-soup/core';

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

/** Read from its start to reach a place in it, of a server that knows no ranges. A larger file is refused. */
const MOST_WITHOUT_RANGES = 64 * 1024 * 1024;

/**
 * The folder at `url`. A file that the server does not have (404, 410) is undefined; every other answer that is not the
 * file, and no answer at all, is a DiskError.
 */
export function httpFolder(url: string, ask: Fetch = (...request) => fetch(...request)): Folder {
  return {
    name: url,
    async open(path) {
      const file = `${url.replace(/\/+$/, '')}/${path.split('/').map(encodeURIComponent).join('/')}`;
      const head = await reach(ask, file, { method: 'HEAD' });
      if (head.status === 404 || head.status === 410) return undefined;
      if (!head.ok) throw refused(file, head);
      const length = head.headers.get('content-length');
      if (length === null || !/^\d+$/.test(length)) {
        throw new DiskError(
          `${file}: the server does not say how long the file is. Use one that sends Content-Length.`,
        );
      }
      return httpSource(ask, file, Number(length), head.headers.get('etag'));
    },
  };
}

function httpSource(ask: Fetch, url: string, size: number, etag: string | null): Source {
  return {
    name: url,
    size,
    async readInto(target, offset) {
      const end = offset + target.byteLength;
      if (end > size) throw new RangeError(`${url}: wanted ${target.byteLength} bytes at ${offset} of ${size}`);
      if (target.byteLength === 0) return;
      const response = await reach(ask, url, { headers: { range: `bytes=${offset}-${end - 1}` } });
      try {
        if (!response.ok) throw refused(url, response);
        refuseChanged(url, response, size, etag, offset, end);
        const isRange = response.status === 206;
        if (!isRange && offset > 0 && size > MOST_WITHOUT_RANGES) {
          throw new DiskError(
            `${url}: the server sends whole files only, and this one has ${size} bytes. Use a server with range requests.`,
          );
        }
        await fill(target, response, isRange ? 0 : offset, url);
      } finally {
        await response.body?.cancel().catch(() => {}); // what is left of it, if anything
      }
    },
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
  size: number,
  etag: string | null,
  from: number,
  end: number,
) {
  const now = headers.get('etag');
  const range = status === 206 ? headers.get('content-range') : null;
  const isOther =
    range !== null && range !== `bytes ${from}-${end - 1}/${size}` && range !== `bytes ${from}-${end - 1}/*`;
  if ((etag !== null && now !== null && now !== etag) || isOther) {
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

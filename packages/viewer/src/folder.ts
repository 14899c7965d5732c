/** Model folders behind URLs, as core's Folder and Source: ranges where the server has them. */
import { type Folder, SoupError, type Source } from '@diffusion-soup/core';

export function urlFolder(url: string): Folder {
  return {
    name: url,
    async open(path) {
      const file = `${url}/${path}`;
      const head = await fetch(file, { method: 'HEAD' });
      if (!head.ok) return undefined;
      return urlSource(file, Number(head.headers.get('content-length')));
    },
  };
}

function urlSource(url: string, size: number): Source {
  let whole: Promise<ArrayBuffer> | undefined; // once a server has shown that it ignores ranges
  return {
    name: url,
    size,
    async readInto(target, offset) {
      if (target.byteLength === 0) return;
      if (!whole) {
        const response = await fetch(url, { headers: { range: `bytes=${offset}-${offset + target.byteLength - 1}` } });
        if (!response.ok) throw new SoupError(`${url}: the server answered ${response.status}`);
        const body = response.arrayBuffer();
        if (response.status === 206) return target.set(new Uint8Array(await body));
        whole = body;
      }
      target.set(new Uint8Array(await whole, offset, target.byteLength));
    },
  };
}

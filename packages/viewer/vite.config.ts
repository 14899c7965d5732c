/** Builds the page; while developing and previewing, serves the repository's pantry beside it. */
import { createReadStream, realpathSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const PANTRY = realpathSync(fileURLToPath(new URL('../../pantry', import.meta.url)));

/** GET /pantry/..., whole files or one range of bytes; nothing outside the folder. */
function servePantry(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
  if (!path.startsWith('/pantry/')) {
    next();
    return;
  }
  try {
    const file = realpathSync(join(PANTRY, path.slice('/pantry/'.length)));
    if (!file.startsWith(PANTRY + sep) || !statSync(file).isFile()) throw new Error('not a file of the pantry');
    const { size } = statSync(file);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [start, end] = range ? [Number(range[1]), Math.min(Number(range[2]), size - 1)] : [0, size - 1];
    response.writeHead(range ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'content-length': Math.max(0, end - start + 1),
      'accept-ranges': 'bytes',
      ...(range && { 'content-range': `bytes ${start}-${end}/${size}` }),
    });
    if (request.method === 'HEAD' || size === 0) response.end();
    else createReadStream(file, { start, end }).pipe(response);
  } catch {
    response.writeHead(404).end();
  }
}

const pantry: Plugin = {
  name: 'pantry',
  configureServer: ({ middlewares }) => void middlewares.use(servePantry),
  configurePreviewServer: ({ middlewares }) => void middlewares.use(servePantry),
};

export default defineConfig({
  base: './',
  plugins: [pantry],
  resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  server: { host: '127.0.0.1' },
  preview: { host: '127.0.0.1' },
});

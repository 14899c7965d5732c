/**
 * Builds the page into dist/, which `soup view` serves. With `--mode site` it goes into dist-site/ together with the
 * repository's pantry: files for any static server. While developing and previewing, the pantry is served beside it.
 */
import { cpSync, createReadStream, mkdirSync, readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isListedFile, listedRole } from '@diffusion-soup/core';
import { defineConfig, type Plugin } from 'vite';
import { CONTENT_SECURITY_POLICY } from './content-security-policy.ts';
import { serviceWorker } from './service-worker-plugin.ts';
import type { ListedModel, Listing } from './src/messages.ts';

const PANTRY = realpathSync(fileURLToPath(new URL('../../pantry', import.meta.url)));
const SITE = fileURLToPath(new URL('dist-site', import.meta.url));
const PREFIX = 'models/';

/** The listed files of a model's folder. */
const filesOf = (name: string): string[] =>
  readdirSync(join(PANTRY, name), { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => isListedFile(path) && statSync(join(PANTRY, name, path)).isFile());

/** models.json, as `soup view` makes it of a pantry. */
function listing(): Listing {
  const folders = readdirSync(PANTRY, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const models = folders.map(({ name }): ListedModel => {
    const files = filesOf(name);
    const bytes = files
      .filter((file) => file.endsWith('.safetensors'))
      .reduce((total, file) => total + statSync(join(PANTRY, name, file)).size, 0);
    return { name, path: PREFIX + encodeURIComponent(name), kind: 'folder', role: listedRole(name, files), bytes };
  });
  return { models: models.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

function writeSite(): void {
  for (const { name } of listing().models) {
    for (const file of filesOf(name)) {
      const target = join(SITE, PREFIX, name, file);
      mkdirSync(dirname(target), { recursive: true });
      cpSync(join(PANTRY, name, file), target, { dereference: true });
    }
  }
  cpSync(join(PANTRY, 'README.md'), join(SITE, PREFIX, 'README.md')); // the licences of what the models have seen
  writeFileSync(join(SITE, 'models.json'), JSON.stringify(listing()));
}

/** GET /models.json and /models/..., whole files or one range of bytes; nothing outside the folder. */
function servePantry(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '').slice(1);
  if (path === 'models.json') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(listing()));
    return;
  }
  const prefix = [PREFIX, 'pantry/'].find((one) => path.startsWith(one));
  if (prefix === undefined) {
    next();
    return;
  }
  try {
    const file = realpathSync(join(PANTRY, path.slice(prefix.length)));
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

const site: Plugin = { name: 'site', apply: 'build', closeBundle: writeSite };

/** While developing, Vite's own scripts and styles need more than the policy allows. */
const policy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: CONTENT_SECURITY_POLICY },
      injectTo: 'head-prepend',
    },
  ],
};

export default defineConfig(({ mode }) => ({
  base: './',
  plugins: [pantry, policy, serviceWorker, ...(mode === 'site' ? [site] : [])],
  build: { outDir: mode === 'site' ? 'dist-site' : 'dist', emptyOutDir: true },
  resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  server: { host: '127.0.0.1' },
  preview: { host: '127.0.0.1' },
}));

/** The files of the built page: those that are there when the server starts, and no others. */
import { readdirSync, realpathSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative, sep } from 'node:path';
import { CheckpointError } from '@diffusion-soup/core';
import type { ModelFile } from './listing.js';

export interface PageFile extends ModelFile {
  readonly headers: OutgoingHttpHeaders;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
};

/** Where the page's package is installed, or lies in this repository. */
export function pageFolder(): string {
  let folder: string | undefined;
  try {
    folder = join(dirname(createRequire(import.meta.url).resolve('@diffusion-soup/viewer/package.json')), 'dist');
    realpathSync(join(folder, 'index.html'));
    return folder;
  } catch (cause) {
    const where =
      folder === undefined ? 'the package @diffusion-soup/viewer is not installed' : `${folder} has no page`;
    const remedy = 'In the repository "npm run build" makes it; elsewhere install @diffusion-soup/cli again.';
    throw new CheckpointError(`The page is not built: ${where}. ${remedy}`, { file: folder }, { cause });
  }
}

/** By the path of the request, without the first slash. */
export function pageFiles(folder: string): ReadonlyMap<string, PageFile> {
  const root = realpathSync(folder);
  const files = new Map<string, PageFile>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const name = relative(root, path).split(sep).join('/');
    const type = TYPES[extname(name)];
    if (!entry.isFile() || type === undefined || name === 'models.json') continue;
    // Vite puts a hash of the content into the names of what lies in assets/.
    const caching = name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
    files.set(name, { path, roots: [root], headers: { 'content-type': type, 'cache-control': caching } });
  }
  const index = files.get('index.html');
  return index ? files.set('', index) : files;
}

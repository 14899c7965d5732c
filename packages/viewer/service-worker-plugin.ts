/** Builds the service worker: src/service-worker.js with the names of the files that the page is made of. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const SOURCE = fileURLToPath(new URL('src/service-worker.js', import.meta.url));

export const serviceWorker: Plugin = {
  name: 'service-worker',
  apply: 'build',
  enforce: 'post',
  generateBundle(_, bundle) {
    const files = Object.keys(bundle).filter((name) => name.startsWith('assets/'));
    const text = readFileSync(SOURCE, 'utf8');
    const version = createHash('sha256').update(JSON.stringify(files)).update(text).digest('hex').slice(0, 12);
    const constants = `const FILES = ${JSON.stringify(files)};\nconst VERSION = '${version}';\n`;
    this.emitFile({ type: 'asset', fileName: 'service-worker.js', source: constants + text });
  },
};

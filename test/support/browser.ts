/** Chromium with WebGPU on its software adapter, and pages served from the sources. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { createServer, type Plugin, type ViteDevServer } from 'vite';
import { PANTRY, REFERENCE } from './files.ts';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      // Canvases of WebGPU crash the GPU process unless all of it runs on SwiftShader.
      '--enable-features=Vulkan',
      '--use-vulkan=swiftshader',
      '--use-angle=swiftshader',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** Serves test/browser from its sources, the reference models under /reference, the pantry under /pantry. */
export async function servePage(): Promise<{ server: ViteDevServer; url: string }> {
  const server = await createServer({
    configFile: false,
    root: new URL('../browser', import.meta.url).pathname,
    cacheDir: new URL('../node_modules/.vite-page', import.meta.url).pathname,
    logLevel: 'error',
    resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
    server: { host: '127.0.0.1', port: 0, hmr: false, fs: { strict: false } },
    plugins: [serveFolder('/reference/', REFERENCE), serveFolder('/pantry/', PANTRY)],
  });
  await server.listen();
  return { server, url: server.resolvedUrls!.local[0]! };
}

function serveFolder(prefix: string, folder: string): Plugin {
  return {
    name: 'serve-folder',
    configureServer({ middlewares }) {
      middlewares.use(async (request, response, next) => {
        const path = request.url?.split('?')[0] ?? '';
        if (!path.startsWith(prefix)) return next();
        const file = join(folder, path.slice(prefix.length));
        const found = await stat(file).catch(() => undefined);
        if (!found?.isFile()) return response.writeHead(404).end();
        const { size } = found;
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
        const [start, end] = from === undefined ? [0, size - 1] : [Number(from), Math.min(Number(to), size - 1)];
        response.writeHead(from === undefined ? 200 : 206, {
          'content-length': end - start + 1,
          ...(from !== undefined && { 'content-range': `bytes ${start}-${end}/${size}` }),
        });
        if (request.method === 'HEAD' || size === 0) return response.end();
        return createReadStream(file, { start, end }).pipe(response);
      });
    },
  };
}

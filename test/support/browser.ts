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
      '--enable-features=Vulkan',
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
        response.statusCode = found?.isFile() ? 200 : 404;
        if (found?.isFile()) createReadStream(file).pipe(response);
        else response.end();
      });
    },
  };
}

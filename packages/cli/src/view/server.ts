/** The server of `soup view`: the page, and the models of this machine for it, on loopback alone. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UsageError } from '@diffusion-soup/core';
import { PREFIX, type Shelf } from './listing.js';
import type { PageFile } from './page.js';
import { hasToken, pathOf, type Refusal, refusalOf, SECURITY_HEADERS } from './security.js';
import { sendFile } from './send.js';

export interface ViewOptions {
  /** 0: one that is free. */
  readonly port: number;
  readonly token: string;
  readonly page: ReadonlyMap<string, PageFile>;
  /** Looked at again at every visit: models come and go. */
  readonly shelf: () => Promise<Shelf>;
  /** Milliseconds for a request to come in whole, and for a connection on which nothing moves. */
  readonly patience?: { readonly request: number; readonly idle: number };
}

export interface View {
  readonly port: number;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const PATIENCE = { request: 10_000, idle: 60_000 };
const MOST_HEADER_BYTES = 8 * 1024;
/** A browser opens six to one host; some tabs, and room. More are closed as they come. */
const MOST_CONNECTIONS = 64;

export async function startView(options: ViewOptions): Promise<View> {
  const { request: requestTimeout, idle } = options.patience ?? PATIENCE;
  const server = createServer({
    maxHeaderSize: MOST_HEADER_BYTES,
    headersTimeout: requestTimeout,
    requestTimeout,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: Math.min(1000, requestTimeout),
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.maxHeadersCount = 64;
  server.setTimeout(idle); // also for those who never read what they asked for
  let shelf = await options.shelf();
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const { port } = server.address() as AddressInfo;
    const renew = async () => {
      shelf = await options.shelf();
      return shelf;
    };
    answer(request, response, { ...options, port }, () => shelf, renew).catch(() => response.destroy());
  };
  server.on('request', handle);
  server.on('checkContinue', handle); // a body is not asked for, but refused
  server.on('upgrade', (_, socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  await listen(server, options.port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is taken' : error.code === 'EACCES' ? 'is not allowed' : error.message;
      const message = `port ${port} of ${HOST} ${why}; choose another with --port, or leave it out for a free one`;
      reject(new UsageError(message, { port, code: error.code }, { cause: error }));
    });
    server.listen({ port, host: HOST, exclusive: true }, resolve);
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { port, token, page }: ViewOptions,
  shelf: () => Shelf,
  renew: () => Promise<Shelf>,
): Promise<void> {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  const refusal = refusalOf(request, port);
  if (refusal) return refuse(request, response, refusal);
  const path = pathOf(request.url);
  if (path === undefined) return refuse(request, response, { status: 400, text: 'No such address.' });

  const file = page.get(path);
  if (file && (await sendFile(request, response, file, file.headers))) return;
  if (path === 'models.json' || path.startsWith(PREFIX)) {
    if (!hasToken(request, token)) {
      const headers = { 'www-authenticate': 'Bearer' };
      return refuse(request, response, { status: 401, text: 'Open the address that soup view printed.', headers });
    }
    if (path === 'models.json') return sendJson(request, response, (await renew()).listing);
    const model = shelf().files.get(path);
    const headers = {
      'content-type': path.endsWith('.json') ? 'application/json' : 'application/octet-stream',
      'content-disposition': 'attachment',
      'cache-control': 'private, no-cache',
    };
    if (model && (await sendFile(request, response, model, headers))) return;
  }
  refuse(request, response, { status: 404, text: 'There is nothing here.' });
}

function sendJson({ method }: IncomingMessage, response: ServerResponse, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': body.length,
    'cache-control': 'no-store',
  });
  response.end(method === 'HEAD' ? undefined : body);
}

/** Says why, and hangs up: whoever is refused is not the page. What they still send is not read. */
function refuse({ method }: IncomingMessage, response: ServerResponse, { status, text, headers }: Refusal): void {
  const body = Buffer.from(`${text}\n`);
  response.writeHead(status, {
    ...headers,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    ...(status !== 404 && status !== 401 && { connection: 'close' }),
  });
  response.end(method === 'HEAD' ? undefined : body);
}

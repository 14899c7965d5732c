/** The server of `soup view`: what it gives to its page, and what it refuses to everybody else. */
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openShelf } from '../../packages/cli/src/view/listing.ts';
import { pageFiles } from '../../packages/cli/src/view/page.ts';
import { CONTENT_SECURITY_POLICY } from '../../packages/cli/src/view/security.ts';
import { startView, type View } from '../../packages/cli/src/view/server.ts';
import { CONTENT_SECURITY_POLICY as IN_META } from '../../packages/viewer/content-security-policy.ts';
import { scratch } from '../support/cli.ts';

const TOKEN = 'correct-horse';
const SECRET = 'nobody may read this';
const BIG = 24_000_000;
const room = scratch();
let view: View;
let size = 0;

beforeAll(async () => {
  const put = (path: string, text: string | Buffer) => {
    mkdirSync(dirname(room.in(path)), { recursive: true });
    writeFileSync(room.in(path), text);
  };
  put('secret.json', SECRET);
  put('page/index.html', '<!doctype html><title>page</title>');
  put('page/assets/main-abc.js', 'export {};');
  put('page/assets/.hidden', SECRET);
  symlinkSync(room.in('secret.json'), room.in('page/leak.json'));
  for (const part of ['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler'])
    put(`pantry/base/${part}/config.json`, '{}');
  put('pantry/noto/unet/config.json', '{"a":1}');
  put('pantry/noto/unet/model.safetensors', Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251)));
  put('pantry/noto/unet/evil.html', `<script>${SECRET}</script>`);
  put('pantry/noto/.env.json', SECRET);
  put('pantry/noto/other/config.json', SECRET);
  put('pantry/noto/unet/big.safetensors', Buffer.alloc(BIG, 1));
  symlinkSync(room.in('secret.json'), room.in('pantry/noto/unet/linked.json'));
  put('elsewhere/unet/config.json', SECRET);
  symlinkSync(room.in('elsewhere'), room.in('pantry/noto/vae'));
  put('pantry/paragon/unet/config.json', '{}');
  put('pantry/with space#.safetensors', 'weights');
  view = await startView({
    port: 0,
    token: TOKEN,
    page: pageFiles(room.in('page')),
    shelf: () => openShelf(room.in('pantry')),
    patience: { request: 700, idle: 3000 },
  });
  size = statSync(room.in('pantry/noto/unet/model.safetensors')).size;
});
afterAll(async () => {
  await view.close();
  room.remove();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const auth = { authorization: `Bearer ${TOKEN}` };

/** As given, without the tidying that fetch does. */
const ask = (path: string, headers: Record<string, string> = auth, method = 'GET', body?: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: view.port, path, method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    asked.on('error', reject).end(body);
  });

/** Everything that comes back for these bytes until the server hangs up. */
const raw = (text: string, limit = 8000): Promise<string> =>
  new Promise((resolve) => {
    let all = '';
    const socket = connect(view.port, '127.0.0.1', () => void socket.write(text, 'latin1'));
    socket.setTimeout(limit, () => socket.destroy());
    socket.on('data', (part) => (all += part.toString('latin1')));
    socket.on('error', () => {}).on('close', () => resolve(all));
  });

const MODEL = '/models/noto/unet/model.safetensors';
const bytes = () => readFileSync(room.in('pantry/noto/unet/model.safetensors'));

describe('gives', () => {
  test('the page, which needs no token, with every protection', async () => {
    const { status, headers, body } = await ask('/', {});
    expect([status, body.toString()]).toEqual([200, '<!doctype html><title>page</title>']);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    for (const name of ['server', 'x-powered-by', 'access-control-allow-origin']) expect(headers[name]).toBeUndefined();
    expect((await ask('/', { 'if-none-match': headers.etag! })).status).toBe(304);
    expect((await ask('/assets/main-abc.js?v', {})).headers['cache-control']).toContain('immutable');
  });

  test('the listing, with roles and sizes', async () => {
    const { models } = JSON.parse((await ask('/models.json')).body.toString());
    expect(models).toEqual([
      { name: 'base', path: 'models/base', kind: 'folder', role: 'base', bytes: 0 },
      { name: 'noto', path: 'models/noto', kind: 'folder', role: 'shard', bytes: size + BIG },
      { name: 'paragon', path: 'models/paragon', kind: 'folder', role: 'model', bytes: 0 },
      { name: 'with space#', path: 'models/with%20space%23.safetensors', kind: 'file', role: 'model', bytes: 7 },
    ]);
    expect((await ask('/models/with%20space%23.safetensors')).body.toString()).toBe('weights');
    expect((await ask('/models/noto/unet/config.json')).headers['content-type']).toBe('application/json');
  });

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['bytes=990-', 990, 1000],
    ['bytes=990-99999', 990, 1000],
    ['bytes=-10', 990, 1000],
    ['bytes=-5000', 0, 1000],
  ])('the range %s', async (range, start, end) => {
    const { status, headers, body } = await ask(MODEL, { ...auth, range });
    expect([status, headers['content-range']]).toEqual([206, `bytes ${start}-${end - 1}/1000`]);
    expect(body.equals(bytes().subarray(start, end))).toBe(true);
  });

  test('the whole where a range does not count, and its head', async () => {
    const whole = await ask(MODEL);
    expect([whole.status, whole.headers['accept-ranges'], whole.body.equals(bytes())]).toEqual([200, 'bytes', true]);
    const { etag } = whole.headers;
    expect((await ask(MODEL, { ...auth, range: 'bytes=0-1', 'if-range': '"old"' })).status).toBe(200);
    expect((await ask(MODEL, { ...auth, range: 'bytes=0-1', 'if-range': etag! })).status).toBe(206);
    expect((await ask(MODEL, { ...auth, range: 'apples=0-1' })).status).toBe(200);
    expect((await ask(MODEL, { ...auth, 'if-none-match': `"x", W/${etag}` })).status).toBe(304);
    const head = await ask(MODEL, auth, 'HEAD');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '1000', 0]);
  });

  test('no bytes of two versions: a file that changes meanwhile ends in a broken connection', async () => {
    const path = '/models/noto/unet/big.safetensors';
    const received = await new Promise<number | string>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: view.port, path, headers: auth, agent: false }, (response) => {
        let count = 0;
        appendFileSync(room.in('pantry/noto/unet/big.safetensors'), 'more');
        response.on('data', (part: Buffer) => (count += part.length));
        response.on('end', () => resolve('whole')).on('error', () => resolve(count));
      });
      asked.on('error', reject).end();
    });
    expect(received).toBeLessThan(BIG);
  });
});

const own = (host: string) => `GET ${MODEL} HTTP/1.1\r\n${host}Authorization: Bearer ${TOKEN}\r\nConnection: close\r\n`;

describe('refuses', () => {
  test.each([
    ['another name', 'evil.example'],
    ['another name with the port', 'evil.example:PORT'],
    ['no port', '127.0.0.1'],
    ['another port', '127.0.0.1:1'],
    ['a mapped address', '[::ffff:127.0.0.1]:PORT'],
    ['all addresses', '0.0.0.0:PORT'],
    ['a name that begins well', '127.0.0.1.evil.example:PORT'],
    ['a name that ends well', 'evil.example#127.0.0.1:PORT'],
    ['a user', 'user@127.0.0.1:PORT'],
    ['a number', '2130706433:PORT'],
    ['two in one', '127.0.0.1:PORT, evil.example'],
    ['none', ''],
  ])('as the host %s', async (_, host) => {
    const answer = await raw(`${own(`Host: ${host.replace('PORT', String(view.port))}\r\n`)}\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 421 /);
  });

  test('no host, and two', async () => {
    const host = `Host: 127.0.0.1:${view.port}\r\n`;
    expect(await raw(`${own('')}\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(`${own(`${host}Host: evil.example\r\n`)}\r\n`)).toMatch(/^HTTP\/1\.1 4(00|21) /);
    expect(await raw(`${own(host)}\r\n`)).toMatch(/^HTTP\/1\.1 200 /); // the same but for that
  });

  test.each([
    [{ origin: 'null' }],
    [{ origin: 'https://evil.example' }],
    [{ origin: 'http://127.0.0.1' }],
    [{ origin: 'http://127.0.0.1:1' }],
    [{ origin: '' }],
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
  ])('a request from another page: %o', async (headers) => {
    for (const path of ['/', MODEL, '/models.json']) {
      expect((await ask(path, { ...auth, ...headers })).status).toBe(403);
    }
  });

  test.each([
    [{}],
    [{ authorization: '' }],
    [{ authorization: 'Bearer ' }],
    [{ authorization: 'Bearer correct-hors' }],
    [{ authorization: 'Bearer correct-horsee' }],
    [{ authorization: TOKEN }],
    [{ authorization: `Basic ${TOKEN}` }],
    [{ cookie: `token=${TOKEN}` }],
  ])('models without the token: %o', async (headers: Record<string, string>) => {
    for (const path of ['/models.json', MODEL, '/models/nothing']) expect((await ask(path, headers)).status).toBe(401);
    expect((await ask(`${MODEL}?token=${TOKEN}`, headers)).status).toBe(401);
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])('%s', async (method) => {
    const { status, headers } = await ask(MODEL, auth, method);
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  test('a WebSocket, a tunnel, a body, a promise of one', async () => {
    const host = `Host: 127.0.0.1:${view.port}\r\n`;
    const socket = 'Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n';
    expect(await raw(`GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\n${socket}\r\n`)).toMatch(/^HTTP\/1\.1 403 /);
    expect(await raw(`CONNECT evil.example:80 HTTP/1.1\r\n${host}\r\n`)).toBe('');
    expect((await ask('/', { 'content-length': '4' }, 'GET', 'body')).status).toBe(413);
    expect(await raw(`${own(host)}Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 413 /,
    );
    expect(await raw(`${own(host)}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n`)).toMatch(/^HTTP\/1\.1 413 /);
  });

  test.each([
    '/../secret.json',
    '/models/../../secret.json',
    '/models/noto/../../secret.json',
    '/models/noto/unet/../../../secret.json',
    '/models/..%2f..%2fsecret.json',
    '/models/%2e%2e/%2e%2e/secret.json',
    '/models/%2E%2E%2Fsecret.json',
    '/models/%252e%252e/%252e%252e/secret.json',
    '/models/..%252f..%252fsecret.json',
    '/models/..\\..\\secret.json',
    '/models/..%5c..%5csecret.json',
    '/models/%c0%ae%c0%ae/secret.json',
    '/models/noto/unet/config.json%00.html',
    '/models/noto/unet/config.json%0d%0aX:%20y',
    '/models/noto//unet/config.json',
    '/models/noto/./unet/config.json',
    '/models/noto%2funet%2fconfig.json',
    '/models/noto/unet/CONFIG.JSON',
    '/models/noto/unet/config.json/',
    '/models/noto/unet/',
    '/models/',
    '/models/__proto__',
    '/models/noto/unet/evil.html',
    '/models/noto/.env.json',
    '/models/noto/other/config.json',
    '/models/noto/unet/linked.json',
    '/models/noto/vae/unet/config.json',
    '/assets/.hidden',
    '/assets/../../secret.json',
    '/leak.json',
    '/pantry/noto/unet/config.json',
    '//etc/passwd',
    '/etc/passwd',
    '/%2fetc%2fpasswd',
    'http://evil.example/models.json',
    '*',
  ])('the path %s', async (path) => {
    const { status, body } = await ask(path);
    expect([400, 404]).toContain(status);
    expect(body.toString()).not.toContain(SECRET);
  });

  test.each([
    'bytes=1000-',
    'bytes=5-2',
    'bytes=-0',
    'bytes=-',
    'bytes=0-1,4-5',
    `bytes=${'0-0,'.repeat(500)}1-1`,
    'bytes=99999999999999999999-',
    'bytes=0x0-0x1',
    'bytes=-1-2',
  ])('the range %s', async (range) => {
    const { status, headers, body } = await ask(MODEL, { ...auth, range });
    expect([status, headers['content-range'], body.length]).toEqual([416, 'bytes */1000', 0]);
  });

  test('huge headers, no HTTP at all, and smuggled requests', async () => {
    const host = `Host: 127.0.0.1:${view.port}\r\n`;
    expect(await raw(`${own(host)}X: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await raw('\x16\x03\x01\x02\x00\x01\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    const both = await raw(
      `${own(host)}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n`,
    );
    expect(both).toMatch(/^HTTP\/1\.1 4/);
    expect(both.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

test('a file that became a link after it was listed is not followed', async () => {
  const [late, address] = [room.in('pantry/noto/unet/late.json'), '/models/noto/unet/late.json'];
  writeFileSync(late, '{}');
  expect((await ask('/models.json')).status).toBe(200); // which looks at the pantry again
  expect((await ask(address)).body.toString()).toBe('{}');
  rmSync(late);
  symlinkSync(room.in('secret.json'), late);
  expect((await ask(address)).status).toBe(404);
  rmSync(late);
  mkdirSync(late);
  expect((await ask(address)).status).toBe(404);
});

test('slow and many connections end, and others are answered again', async () => {
  const sockets = Array.from({ length: 300 }, () => connect(view.port, '127.0.0.1').on('error', () => {}));
  let open = sockets.length;
  for (const socket of sockets) {
    socket.on('close', () => open--).resume();
    socket.write('GET / HTTP/1.1\r\nX: ');
  }
  const drip = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write('a');
  }, 100);
  for (const until = Date.now() + 20_000; open > 0 && Date.now() < until; ) await sleep(50);
  clearInterval(drip);
  expect(open).toBe(0);
  expect((await ask('/', {})).status).toBe(200);
}, 30_000);

test('listens on loopback alone', () => {
  const port = view.port.toString(16).toUpperCase().padStart(4, '0');
  const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n'));
  const listening = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, at, , state]) => state === '0A' && at?.endsWith(`:${port}`));
  expect(listening.map(([, at]) => at)).toEqual([`0100007F:${port}`]);
});

test('the page itself says the same policy, but for what only a header can say', () => {
  expect(`${IN_META}; frame-ancestors 'none'`).toBe(CONTENT_SECURITY_POLICY);
});

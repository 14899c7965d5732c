/** Queues on a real Redis: workers that are killed, that stall, and a server that goes away and comes back. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { expand } from '../../packages/cli/src/batch/expand.ts';
import { planBatch } from '../../packages/cli/src/batch/plan.ts';
import { readManifest } from '../../packages/cli/src/batch/read-manifest.ts';
import { knownResults } from '../../packages/cli/src/batch/results.ts';
import type { SoupOf } from '../../packages/cli/src/batch/soups.ts';
import { isWholePng } from '../../packages/cli/src/batch/verify.ts';
import { createOutput } from '../../packages/cli/src/output.ts';
import { workOf } from '../../packages/cli/src/queue/work.ts';
import { choose } from '../../packages/cli/src/queue/worker.ts';
import { built, bundle, support } from '../support/bundle.ts';
import { buildCli, scratch, soup, startSoup } from '../support/cli.ts';
import { fakeSoupOf } from '../support/fake-engine.mjs';

vi.setConfig({ testTimeout: 180_000 });

let program = '';
const hasRedis = (() => {
  try {
    execFileSync('redis-server', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

let port = 0;
let url = '';
let server: ChildProcess;
const data = scratch();
const children: ChildProcess[] = [];
let out: ReturnType<typeof scratch>;

const startRedis = async (...more: string[]) => {
  const args = [
    '--port',
    `${port}`,
    '--dir',
    data.path,
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
    '--save',
    '',
  ];
  server = spawn('redis-server', [...args, ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const text of server.stdout!) if (String(text).includes('Ready to accept')) return server.stdout!.resume();
};

/** A port that is free now. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });

const kill = async (child: ChildProcess, signal: NodeJS.Signals) => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill(signal);
  await closed;
};

describe.skipIf(!hasRedis && !process.env.CI)('a queue', () => {
  beforeAll(async () => {
    buildCli();
    const threads = {
      'lease-thread': built('queue/lease-thread.js'),
      'encode-worker': built('batch/encode-worker.js'),
    };
    program = (await bundle(data.in('app'), { worker: support('queue-worker.mjs'), ...threads }))('worker');
    port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    await startRedis();
    out = scratch();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child, 'SIGKILL');
    out.remove();
    out = scratch();
  });
  afterAll(async () => {
    await kill(server, 'SIGKILL');
    out.remove();
    data.remove();
  });

  let queueName = 0;
  async function submit(manifest: string, more: object = {}) {
    const { submitBatch } = await import('../../packages/cli/src/queue/submit.ts');
    const items = await expand(readManifest(manifest, 'm.yaml'));
    let stdout = '';
    const write = (text: string) => {
      stdout += text;
    };
    const io = { stdout: { write }, stderr: { write() {} }, env: {}, signal: new AbortController().signal };
    const flags = {
      out: out.path,
      format: 'png',
      precision: 'auto',
      queue: url,
      queueName: `q${queueName}`,
      ...more,
    } as const;
    const code = await submitBatch(items, flags, createOutput(io, { json: true }), fakeSoupOf as unknown as SoupOf);
    return {
      code,
      lines: stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    };
  }

  function worker(lease: number, options: object = {}, env: NodeJS.ProcessEnv = {}) {
    const args = [program, url, `q${queueName}`, String(lease), JSON.stringify(options)];
    const child = spawn(process.execPath, args, { env: { ...process.env, ...env } });
    children.push(child);
    const drawn: { id: string; path: string }[] = [];
    let rest = '';
    child.stdout.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const value = JSON.parse(line);
        if (value.type === 'draw') drawn.push(value);
      }
    });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    return { child, drawn, ended, stderr: () => stderr };
  }

  const pictures = () => readdirSync(out.path).filter((name) => name.endsWith('.png'));
  const until = async (done: () => boolean, what: string) => {
    for (const end = Date.now() + 90_000; !done(); await sleep(20)) {
      if (Date.now() > end) throw new Error(`never: ${what}`);
    }
  };
  async function status() {
    const { stdout } = await soup(['queue', 'status', '--queue', url, '--queue-name', `q${queueName}`, '--json']);
    return JSON.parse(stdout);
  }

  test('loses nothing and draws nothing twice: one worker killed, one stalled, the server restarted', async () => {
    queueName++;
    const items = 240;
    const { lines } = await submit('axes: {model: [a, b, c], seed: 1..80}\ndefaults: {prompt: x, size: 32}');
    expect(lines.at(-1)).toMatchObject({ type: 'submitted', submitted: items });
    const workers = [1, 2, 3].map(() => worker(2, { delay: 40 }));
    await until(() => workers.every(({ drawn }) => drawn.length > 5), 'all work');
    const [killed, stalled, good] = workers as [(typeof workers)[0], (typeof workers)[0], (typeof workers)[0]];
    await kill(killed.child, 'SIGKILL');
    stalled.child.kill('SIGSTOP');
    await sleep(500);
    await kill(server, 'SIGKILL');
    await sleep(500);
    await startRedis();
    await until(() => pictures().length > 150, 'the rest goes on');
    stalled.child.kill('SIGCONT');
    expect(await good.ended).toBe(0);
    expect(await stalled.ended).toBe(0);

    expect(pictures()).toHaveLength(items);
    for (const name of pictures()) expect(isWholePng(readFileSync(join(out.path, name))), name).toBe(true);
    const known = await knownResults(out.path);
    expect([known.size, [...known.values()].every(({ status }) => status === 'done')]).toEqual([items, true]);
    expect([...known.values()].map(({ path }) => path).sort()).toEqual(pictures().sort());
    expect((await status()).total).toMatchObject({ wait: 0, active: 0, delayed: 0, failed: 0, completed: items });
    // Beside what was in hand when a worker died or stalled, nothing was drawn again.
    expect(workers.flatMap(({ drawn }) => drawn).length).toBeLessThanOrEqual(items + 4);
    // A second submission has nothing to do.
    expect(
      (await submit('axes: {model: [a, b, c], seed: 1..80}\ndefaults: {prompt: x, size: 32}')).lines.at(-1),
    ).toMatchObject({
      submitted: 0,
      skipped: items,
    });
  });

  test('keeps the lease of a worker whose main thread is busy', async () => {
    queueName++;
    await submit('- {model: a, prompt: x}');
    const busy = worker(1, { blockMs: 5000 });
    await until(() => busy.drawn.length === 1, 'it draws');
    const other = worker(1);
    expect([await busy.ended, await other.ended]).toEqual([0, 0]);
    expect([busy.drawn.length, other.drawn.length, pictures().length]).toEqual([1, 0, 1]);
  });

  test('a worker stays with its soup', async () => {
    queueName++;
    await submit('axes: {seed: 1..20, model: [a, b]}\ndefaults: {prompt: x}');
    const both = [worker(5, { delay: 20 }), worker(5, { delay: 20 })];
    for (const { ended, stderr } of both) expect([await ended, stderr()]).toEqual([0, expect.any(String)]);
    expect(pictures()).toHaveLength(40);
    const known = await knownResults(out.path);
    const changes = both.map(({ drawn }) => {
      const soups = drawn.map(({ id }) => known.get(id)!.model);
      return soups.filter((model, i) => i > 0 && model !== soups[i - 1]).length;
    });
    expect(Math.max(...changes)).toBeLessThanOrEqual(1);
  });

  test('parks what kills workers, and what never works, with the reason; the rest is drawn', async () => {
    queueName++;
    await submit('- {model: a, prompt: x}\n- {model: a, prompt: poison}\n- {model: a, prompt: y}');
    for (let deaths = 0; deaths < 8; deaths++) {
      if ((await worker(1, { poison: 'crash' }).ended) === 0) break;
    }
    expect(pictures()).toHaveLength(2);
    const { total, parked } = await status();
    expect(total).toMatchObject({ completed: 2, failed: 1, wait: 0, active: 0 });
    expect(parked).toEqual([expect.objectContaining({ index: 1, reason: expect.stringMatching(/stalled/) })]);
    // Parked until somebody asks.
    expect((await submit('- {model: a, prompt: poison}', { wait: true })).code).toBe(9);
    await submit('- {model: a, prompt: poison}', { retryFailed: true });
    expect(await worker(1).ended).toBe(0);
    expect(pictures()).toHaveLength(3);
  });

  test('SIGTERM finishes what is in hand', async () => {
    queueName++;
    await submit('axes: {seed: 1..50}\ndefaults: {model: a, prompt: x}');
    const draining = worker(5, { delay: 100 });
    await until(() => draining.drawn.length === 3, 'it works');
    draining.child.kill('SIGTERM');
    await draining.ended;
    expect(pictures().length).toBe(draining.drawn.length);
    expect((await status()).total).toMatchObject({ active: 0, completed: draining.drawn.length });
  });

  test('asks for a password, and says so without telling it', async () => {
    await kill(server, 'SIGTERM');
    await startRedis('--requirepass', 'secret');
    const ask = (password: string) =>
      soup(['queue', 'status', '--json', '--queue', `redis://:${password}@127.0.0.1:${port}`]);
    const wrong = await ask('wr0ng');
    expect(wrong.code).toBe(7);
    expect(`${wrong.stdout}${wrong.stderr}`).toMatch(/WRONGPASS|password/);
    expect(`${wrong.stdout}${wrong.stderr}`).not.toContain('wr0ng');
    expect((await ask('secret')).code).toBe(0);
    await kill(server, 'SIGTERM');
    await startRedis();
  });

  test('goes through TLS, with user and password, and refuses a certificate that nobody vouches for', async () => {
    await kill(server, 'SIGTERM');
    const [plain, secured] = [url, await freePort()];
    // Self-signed, for localhost alone: openssl req -x509 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost
    const file = (name: string) => support(`tls/${name}`);
    const tls = ['--tls-cert-file', file('localhost.crt'), '--tls-key-file', file('localhost.key')];
    const user = ['--user', 'cook', 'on', '>secret', '~*', '&*', '+@all'];
    await startRedis('--tls-port', `${secured}`, ...tls, '--tls-auth-clients', 'no', ...user);
    queueName++;
    await submit('- {model: a, prompt: x}');

    url = `rediss://cook:secret@localhost:${secured}`;
    const ask = (env: Record<string, string>) =>
      startSoup(['queue', 'status', '--queue', url, '--queue-name', `q${queueName}`, '--json'], { env }).ended;
    const stranger = await ask({});
    expect([stranger.code, JSON.parse(stranger.stdout).error.name]).toEqual([7, 'QueueError']);
    expect(stranger.stdout).toMatch(/certificate/);
    expect(stranger.stdout).not.toContain('secret');

    const trusting = { NODE_EXTRA_CA_CERTS: file('localhost.crt') };
    expect(await worker(5, {}, trusting).ended).toBe(0);
    expect(pictures()).toHaveLength(1);
    expect(JSON.parse((await ask(trusting)).stdout).total).toMatchObject({ completed: 1, failed: 0 });
    url = plain;
    await kill(server, 'SIGTERM');
    await startRedis();
  });
});

test('a job names its recipe wherever the worker stands', async () => {
  const items = await expand(readManifest('- {recipe: r.yaml, prompt: x}', 'm.yaml'));
  const { items: planned } = await planBatch(items, { soupOf: fakeSoupOf as unknown as SoupOf });
  const { item } = workOf(planned[0]!, { out: 'o', format: 'png' });
  expect(item.soup.recipe).toBe(join(process.cwd(), 'r.yaml'));
});

test.each(['http://x', 'redis://', 'x'])('%s is no queue', async (queue) => {
  const { code, stdout } = await soup(['queue', 'status', '--queue', queue, '--json']);
  expect([code, JSON.parse(stdout).error.name]).toEqual([2, 'UsageError']);
});

test('a worker takes the soup that it has, then the one with the fewest workers', () => {
  const soup = (queue: string, wait: number, active: number, delayed = 0) => ({
    queue,
    title: queue,
    wait,
    active,
    delayed,
    completed: 0,
    failed: 0,
  });
  expect(choose([soup('a', 1, 5), soup('b', 9, 0)], 'a')).toBe('a');
  expect(choose([soup('a', 0, 5), soup('b', 9, 1), soup('c', 3, 0)], 'a')).toBe('c');
  expect(choose([soup('a', 0, 0), soup('b', 0, 1)], 'a')).toBeUndefined();
  expect(choose([soup('a', 0, 0, 1)], undefined)).toBe('a');
});

/** The built `soup` as a process: signals, pipes, and machines without a GPU or without Dawn. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildCli, MAIN, scratch, startSoup } from '../support/cli.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000 });

const out = scratch();
beforeAll(buildCli);
afterAll(() => out.remove());

/** Waits until a running `soup` has loaded its model. */
async function loaded({ child, result }: ReturnType<typeof startSoup>): Promise<void> {
  while (!result.stderr.includes('loaded') && child.exitCode === null) await sleep(50);
  expect(result.stderr).toContain('loaded');
}

describe('signals', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends a long drawing cleanly', async (signal, code) => {
    const started = startSoup(['generate', 'noto', '-p', 'x', '--steps', '900', '-o', out.path]);
    await loaded(started);
    const { child, ended } = started;
    child.kill(signal);
    const end = await ended;
    expect(end.stderr).toMatch(/soup: stopped/);
    expect(end.stderr).not.toMatch(/^\s+at /m);
    expect([end.code, out.files()]).toEqual([code, []]);
  });

  test('a second Ctrl-C does not wait', async () => {
    const started = startSoup(['generate', 'noto', '-p', 'x', '--steps', '900', '-o', out.path]);
    await loaded(started);
    const { child, ended } = started;
    child.kill('SIGINT');
    child.kill('SIGINT');
    await sleep(50);
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
    expect(out.files()).toEqual([]);
  });
});

test('a reader that leaves early is no error', async () => {
  const { stdout, stderr } = await promisify(execFile)('bash', [
    '-c',
    `for i in 1 2 3; do "${process.execPath}" "${MAIN}" generate --help | true; echo "\${PIPESTATUS[0]}"; done`,
  ]);
  expect([stdout, stderr]).toEqual(['0\n0\n0\n', '']);
});

describe('a machine without', () => {
  const noDriver = { VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' };

  test('an adapter: doctor and generate exit with 5 and say what to do', async () => {
    const doctor = await startSoup(['doctor', '--json'], { env: noDriver }).ended;
    expect(doctor.code).toBe(5);
    expect(JSON.parse(doctor.stdout)).toMatchObject({ adapter: null, error: { name: 'AdapterError', exitCode: 5 } });
    expect(doctor.stderr).toMatch(/No GPU adapter answers\. Install your graphics driver/);
    const generate = await startSoup(['generate', 'noto', '-p', 'x', '-o', out.path], { env: noDriver }).ended;
    expect([generate.code, generate.stdout]).toEqual([5, '']);
  });

  test('Dawn: doctor still tells what it knows, and help works', async () => {
    const block = out.in('block.cjs');
    writeFileSync(
      block,
      `require('node:module')._extensions['.node'] = (_, file) => { throw new Error('cannot load ' + file) };`,
    );
    const node = ['--require', block];
    const doctor = await startSoup(['doctor'], { node }).ended;
    expect(doctor.code).toBe(5);
    expect(doctor.stderr).toMatch(/Dawn.* cannot be loaded on this machine/);
    expect(doctor.stdout).toMatch(/^adapter +none\n[\s\S]*^node +\d+\.\d+/m);
    expect((await startSoup(['--help'], { node }).ended).code).toBe(0);
  });
});

test('doctor tells the adapter, the versions and the pantry', async () => {
  const { code, stdout } = await startSoup(['doctor', '--json']).ended;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    adapter: {
      ...{ name: expect.any(String), precision: expect.stringMatching(/^f(16|32)$/) },
      ...{ limits: expect.anything(), tuned: expect.any(Number) },
    },
    versions: { node: process.versions.node, webgpu: expect.any(String) },
    pantry: { models: expect.arrayContaining(['base', 'noto']) },
  });
});

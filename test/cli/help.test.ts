/** What the command line says about itself. */
import { readFileSync } from 'node:fs';
import { samplerNames } from '@diffusion-soup/core';
import { describe, expect, test } from 'vitest';
import { soup } from '../support/cli.ts';

const COMMANDS = [
  'generate',
  'merge',
  'add',
  'remove',
  'verify',
  'pantry',
  'lab',
  'conformance',
  'doctor',
  'tune',
  'demo',
  'view',
];

describe('help', () => {
  test('without arguments names every command', async () => {
    const { code, stdout, stderr } = await soup([]);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command}[ |]`, 'm'));
    expect(stdout).toContain('Exit codes: 0 done');
  });

  test.each(COMMANDS)('%s has examples', async (command) => {
    const { code, stdout } = await soup([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: soup ${command}`);
    expect(stdout).toMatch(new RegExp(`Examples:\n  soup ${command}`));
    expect((await soup(['help', command])).stdout).toBe(stdout);
  });

  test.each([
    ['search', 'greedy'],
    ['search', 'weights'],
    ['lab', 'fidelity'],
  ])('%s %s explains itself, with its defaults', async (...words) => {
    const { code, stdout, stderr } = await soup([...words, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/--seed <number> .*\(default:\s+\d+\)/s);
  });

  test('every line fits', async () => {
    for (const command of COMMANDS) {
      const { stdout } = await soup([command, '--help'], { terminal: true });
      const tooLong = stdout.split('\n').filter((line) => line.length > 100);
      expect(tooLong).toEqual([]);
    }
  });

  test('names the samplers', async () => {
    const { stdout } = await soup(['generate', '--help']);
    for (const name of samplerNames) expect(stdout).toContain(name);
  });

  test('the version is that of the package', async () => {
    const file = new URL('../../packages/cli/package.json', import.meta.url);
    const { version } = JSON.parse(readFileSync(file, 'utf8'));
    expect(await soup(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

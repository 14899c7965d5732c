/** `soup generate`: files with their metadata, output for people and for programs, and stopping. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { bytesSource, parseInfotext, readPngText } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { freePath, slug } from '../../packages/cli/src/picture-file.ts';
import { scratch, soup } from '../support/cli.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000 });

const textsOf = async (path: string) => (await readPngText(bytesSource(readFileSync(path), path))).texts;

let out: ReturnType<typeof scratch>;
beforeEach(() => {
  out = scratch();
});
afterEach(() => out.remove());

const quick = (...more: string[]) => ['generate', '--steps', '2', '--out', out.path, ...more];

describe('generate', () => {
  test('writes pictures that say how they were made', async () => {
    const prompt = 'red apple, “größer” 🍎';
    const seed = '18446744073709551615';
    const args = quick('noto:2+ink:1', '-p', prompt, '-n', 'blurry', '--seed', seed, '-g', '4.5', '--json');
    const { code, stdout } = await soup(args);
    expect(code).toBe(0);
    const { images, recipe, settings, adapter, timings } = JSON.parse(stdout);
    expect(images).toHaveLength(1);
    expect(images[0]).toMatchObject({ path: out.in(`red-apple-großer-${seed}.png`), seed, width: 128, height: 128 });
    expect(settings).toMatchObject({
      prompts: [prompt],
      negative: 'blurry',
      steps: 2,
      sampler: 'dpmpp-2m',
      guidance: 4.5,
    });
    expect(timings.draw).toHaveLength(1);

    const texts = await textsOf(images[0].path);
    const infotext = parseInfotext(texts.get('parameters')!);
    expect(infotext).toMatchObject({ prompt, negativePrompt: 'blurry' });
    expect(Object.fromEntries(infotext.settings)).toMatchObject({
      Steps: '2',
      Sampler: 'DPM++ 2M',
      'CFG scale': '4.5',
      Seed: seed,
      Size: '128x128',
      Model: 'noto:2 + ink:1',
    });
    expect(JSON.parse(texts.get('diffusion_soup')!)).toEqual({
      ...recipe,
      settings: { ...settings, prompts: undefined, prompt },
      adapter,
      precision: expect.stringMatching(/^f(16|32)$/),
    });
    expect(recipe).toMatchObject({
      base: 'base',
      ingredients: [
        { name: 'noto', weight: 2 },
        { name: 'ink', weight: 1 },
      ],
    });
  });

  test('draws prompts in order, never overwrites, and repeats itself bit for bit', async () => {
    const args = quick('noto', '-p', 'rocket', '-p', 'pizza', '--seed', '7', '--count', '2');
    const first = await soup(args);
    expect(first.stdout.trim().split('\n')).toEqual(
      ['rocket-7.png', 'rocket-8.png', 'pizza-7.png', 'pizza-8.png'].map((name) => out.in(name)),
    );
    expect(first.stderr).toMatch(/vae, scheduler: from .*\/base, as no ingredient has them/);
    const second = await soup(quick('noto', '-p', 'rocket', '--seed', '8', '--quiet'));
    expect(second).toMatchObject({ code: 0, stderr: '', stdout: `${out.in('rocket-8-2.png')}\n` });
    // Alone as in a batch of two.
    expect(readFileSync(out.in('rocket-8-2.png')).equals(readFileSync(out.in('rocket-8.png')))).toBe(true);
  });

  test('shows the picture on a terminal, with a live line and previews', async () => {
    const args = quick('noto', '-p', 'rocket', '--seed', '1', '--preview', '1');
    const { code, stdout, stderr } = await soup(args, {
      terminal: true,
      env: { COLORTERM: 'truecolor', TERM: 'xterm' },
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/▀.*\n.*rocket-1\.png\n$/s);
    expect(stderr).toMatch(/▀[\s\S]*step 2 done, decoding/);
    const plain = await soup([...args, '--no-show'], { terminal: true, env: { TERM: 'dumb' } });
    expect(plain.stdout).toBe(`${out.in('rocket-1-2.png')}\n`);
    expect(plain.stdout + plain.stderr).not.toContain('\x1b');
  });

  test('starts from a picture', async () => {
    await soup(quick('noto', '-p', 'rocket', '--seed', '1', '-o', out.in('start.png')));
    const args = quick(
      'ink',
      '-p',
      'rocket',
      '--image',
      out.in('start.png'),
      '--strength',
      '0.5',
      '-o',
      out.in('end.png'),
    );
    const { code, stdout } = await soup([...args, '--size', '96x64', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: [{ width: 96, height: 64 }], settings: { strength: 0.5 } });
    expect((await textsOf(out.in('end.png'))).get('parameters')).toContain('Denoising strength: 0.5');
  });

  test('tells when a prompt is cut', async () => {
    const long = 'apple '.repeat(60);
    const { stdout, stderr } = await soup(quick('noto', '-p', long, '--json'));
    expect(JSON.parse(stdout).warnings).toEqual([expect.stringMatching(/longer than the 32 tokens/)]);
    expect(stderr).toMatch(/soup: warning: The prompt is longer/);
  });

  test('keeps what is done when a later picture fails, and says so', async () => {
    const folder = out.in('pictures');
    const { code, stdout, stderr } = await soup(quick('noto', '-p', 'rocket', '-p', 'pizza', '-o', folder, '--json'), {
      onStderr(all) {
        if (!all.includes('drew "rocket"') || !existsSync(`${folder}/.`)) return;
        renameSync(folder, out.in('moved'));
        writeFileSync(folder, 'in the way');
      },
    });
    expect(code).toBe(9);
    expect(stderr).toMatch(/soup: 1 of 2 pictures are done and kept; then: cannot (create|write) /);
    expect(JSON.parse(stdout).error).toMatchObject({
      name: 'PartialError',
      facts: { images: [{ prompt: 'rocket' }], cause: { name: 'DiskError', exitCode: 8 } },
    });
    expect(out.files()).toEqual(['pictures', expect.stringMatching(/^rocket-\d+\.png$/)]);
  });

  test('stops within a step, and leaves nothing half-finished', async () => {
    const stop = new AbortController();
    const { code, stdout, stderr } = await soup(
      ['generate', 'noto', '-p', 'x', '--steps', '900', '-o', out.path, '--json'],
      {
        terminal: true,
        stop,
        onStderr: (all) => all.includes('step 2 of') && stop.abort('SIGINT'),
      },
    );
    expect(code).toBe(130);
    expect(JSON.parse(stdout).error).toMatchObject({ name: 'CancelledError', exitCode: 130 });
    expect(stderr).toMatch(/soup: stopped; nothing half-finished was left behind/);
    expect(out.files()).toEqual([]);
  });
});

describe('names of pictures', () => {
  test.each([
    ['Red apple, 4k!', 'red-apple-4k'],
    ['  ', 'picture'],
    ['../../etc/passwd', 'etc-passwd'],
    ['猫の顔 🐱', '猫の顔'],
    ['a\u0000b\u001b[31m', 'a-b-31m'],
    ['x'.repeat(300), 'x'.repeat(60)],
  ])('%j is %s', (prompt, expected) => expect(slug(prompt)).toBe(expected));

  test('a name that is given is numbered, too', async () => {
    expect(freePath({ folder: out.path, stem: out.in('cat') }, '', 0n)).toBe(out.in('cat.png'));
  });
});

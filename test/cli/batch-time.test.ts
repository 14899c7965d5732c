/** What a dry run of a large batch takes. It runs alone, since it measures time. */
import { writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { scratch, soup } from '../support/cli.ts';

const out = scratch();
afterAll(() => out.remove());

test('a thousand items are planned within two seconds', async () => {
  const env = { XDG_CACHE_HOME: out.in('cache') };
  writeFileSync(
    out.in('m.yaml'),
    'defaults: {steps: 1, size: 64, model: noto, guidance: 1}\n' +
      'axes: {model: [noto, ink, "noto:2+ink:1", "noto:1+ink:3"], seed: 1..250}\nitems: [{prompt: x}]',
  );
  const args = ['batch', out.in('m.yaml'), '-o', out.in('p'), '--dry-run', '--json'];
  await soup(args, { env }); // hashes the models once
  const begun = performance.now();
  const { code, stdout } = await soup(args, { env });
  const seconds = (performance.now() - begun) / 1000;
  expect([code, stdout.trim().split('\n').length]).toEqual([0, 1001]);
  expect(seconds).toBeLessThan(2);
});

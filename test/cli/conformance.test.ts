/** `soup conformance`: a table and an exit code. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { REFERENCE } from '../support/files.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000 });

const folder = scratch();
const model = folder.in('model');
beforeAll(() => {
  copyModel(`${REFERENCE}/sd15-tiny`, model);
  rmSync(`${model}/golden-pipeline.safetensors`); // long; what is tested here is the command
});
afterAll(() => folder.remove());

describe('conformance', () => {
  test('passes with an aligned table', async () => {
    const { code, stdout } = await soup(['conformance', model]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^tensor +max \|error\| +relative L2 +bound$/);
    expect(lines.at(-1)).toMatch(/^ok: (\d+) of \1 tensors hold \(f32\)$/);
    const rows = lines.slice(1, -1);
    expect(rows.length).toBeGreaterThan(20);
    for (const row of rows) expect(row).toMatch(/^\w+\/\S+ +\d\.\d\de[-+]\d +\d\.\d\de[-+]\d+ +1e-4 {2}pass$/);
    expect(new Set(rows.map((row) => row.length)).size).toBe(1);
    expect(code).toBe(0);
  });

  test('fails when one number of the reference is another', async () => {
    const file = `${model}/golden-text_encoder.safetensors`;
    const bytes = readFileSync(file);
    const header = 8 + Number(bytes.readBigUInt64LE(0));
    const tensors = JSON.parse(bytes.subarray(8, header).toString());
    bytes.writeFloatLE(1000, header + tensors.last_hidden_state.data_offsets[0]);
    writeFileSync(file, bytes);
    const { code, stdout } = await soup(['conformance', model, '--json']);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ ok: false, failed: 1 });
    const failed = result.differences.filter((difference: { ok: boolean }) => !difference.ok);
    expect(failed).toMatchObject([{ kind: 'text_encoder', name: 'last_hidden_state' }]);
    expect(code).toBe(1);
  });
});

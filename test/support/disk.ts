/** What lies on the disk, and names as processes that were killed have left them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { encodeSafetensorsHeader } from '@diffusion-soup/core';
import type { TemporaryNames } from '../../packages/cli/src/temporary.ts';

/** A model folder with a UNet of a few numbers: nothing can be drawn with it, but it can be merged. */
export function plantTinyModel(path: string, seed: number): void {
  mkdirSync(join(path, 'unet'), { recursive: true });
  writeFileSync(join(path, 'unet/config.json'), '{}');
  const { header, size } = encodeSafetensorsHeader([
    { name: 'a', dtype: 'F16', shape: [3, 5] },
    { name: 'b', dtype: 'F32', shape: [7] },
  ]);
  const data = new Uint8Array(size - header.length).fill(seed);
  writeFileSync(join(path, 'unet/diffusion_pytorch_model.safetensors'), Buffer.concat([header, data]));
}

/** Every file below a folder with its content. */
export function filesBelow(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path, 'latin1')]));
}

const NEVER = '4194305'; // no process has this number: it is above the kernel's limit

type Owner = 'dead' | 'reused' | 'parent' | 'elsewhere';

/** A temporary name as another process would have it: one that has ended, one that runs, or one of another machine. */
export function asOfDeadProcess(path: string, owner: Owner = 'dead'): string {
  const [, start, system, pid, started, end] = /^(.*\.)([0-9a-f]{8})-(\d+)-(\d+)(-[^/]*)$/s.exec(path)!;
  const as = {
    dead: [system, NEVER, started],
    reused: [system, pid, Number(started) - 1],
    parent: [system, process.ppid, startOf(process.ppid)],
    elsewhere: ['00000000', pid, started],
  }[owner];
  return `${start}${as.join('-')}${end}`;
}

export function ofDeadProcess(names: TemporaryNames, owner?: Owner): TemporaryNames {
  const change = (path: string) => asOfDeadProcess(path, owner);
  return { tmp: change(names.tmp), old: change(names.old), ledger: change(names.ledger) };
}

const startOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')[19]!;

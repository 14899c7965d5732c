/** Soups on the disk: `soup merge`, `add` and `remove` themselves, so that nobody can tell who wrote what. */
import { basename } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { SoupError } from '@diffusion-soup/core';
import type { Io } from '../../output.js';
import { modelArguments } from '../command-line.js';
import type { Doing } from './cook.js';
import type { KeepTask, Kept } from './protocol.js';

export async function keepCheckpoint(task: KeepTask, env: Io['env'], { tell, signal }: Doing): Promise<Kept> {
  const { run } = await import('../../run.js');
  const { folder } = task;
  let [answer, said] = ['', ''];
  const working = (): void =>
    tell({ type: 'work', work: { phase: 'writing', part: folder, done: 0, total: 0, queue: 0 } });
  const stdout = {
    write(text: string) {
      answer += text;
    },
  };
  const stderr = {
    write(text: string) {
      said = stripVTControlCharacters(text).trim() || said;
      working();
    },
  };
  working();
  const exitCode = await run([...wordsOf(task), '--json'], { stdout, stderr, env, signal });
  if (exitCode !== 0) throw new SoupError(said.replace(/^soup: /, ''));
  const { root, receiptFile } = JSON.parse(answer) as { root?: string; receiptFile?: string };
  return { what: nameOf(task), path: folder, ...(root && { root }), ...(receiptFile && { receipt: receiptFile }) };
}

function wordsOf(task: KeepTask): string[] {
  switch (task.type) {
    case 'merge':
      return ['merge', ...modelArguments(task.soup), '--out', task.folder];
    case 'add':
      return ['add', task.folder, task.shard.id, '--weight', String(task.shard.weight)];
    case 'remove':
      return ['remove', task.folder, basename(task.shard.id)];
  }
}

const nameOf = (task: KeepTask): string =>
  task.type === 'merge' ? 'saved' : `${task.type === 'add' ? 'added' : 'removed'} ${basename(task.shard.id)}`;

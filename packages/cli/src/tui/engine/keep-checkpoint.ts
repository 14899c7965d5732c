/** Soups on the disk: `soup merge`, `add` and `remove` themselves, so that nobody can tell who wrote what. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { formatRecipe, SoupError } from '@diffusion-soup/core';
import type { Io } from '../../output.js';
import type { Doing } from './cook.js';
import { recipeOf } from './order.js';
import type { KeepTask, Kept } from './protocol.js';

export async function keepCheckpoint(task: KeepTask, env: Io['env'], { tell, signal, queue }: Doing): Promise<Kept> {
  const { run } = await import('../../run.js');
  const { folder } = task;
  let [answer, said] = ['', ''];
  const working = (): void => {
    const percent = /(\d+)%/.exec(said)?.[1];
    const amount = percent === undefined ? { done: 0, total: 0 } : { done: Number(percent), total: 100 };
    tell({ type: 'work', work: { phase: 'writing', ...amount, queue, ...(said && { words: said }) } });
  };
  const stdout = {
    write(text: string) {
      answer += text;
    },
  };
  // As to a terminal, it tells where it stands several times a second.
  const stderr = {
    isTTY: true,
    columns: 200,
    write(text: string) {
      said = stripVTControlCharacters(text).trim() || said;
      working();
    },
  };
  working();
  const scratch = await mkdtemp(join(tmpdir(), 'soup-'));
  const exitCode = await wordsOf(task, scratch)
    .then((words) => run([...words, '--json'], { stdout, stderr, env, signal }))
    .finally(() => rm(scratch, { recursive: true, force: true }));
  if (exitCode !== 0) throw new SoupError(said.replace(/^soup: /, ''));
  const { root, receiptFile } = JSON.parse(answer) as { root?: string; receiptFile?: string };
  return { what: nameOf(task), path: folder, ...(root && { root }), ...(receiptFile && { receipt: receiptFile }) };
}

/** By a recipe, since words cannot say all of it. */
async function wordsOf(task: KeepTask, scratch: string): Promise<string[]> {
  switch (task.type) {
    case 'merge': {
      const file = join(scratch, 'soup.yaml');
      await writeFile(file, formatRecipe(recipeOf(task.soup)));
      return ['merge', file, '--out', task.folder];
    }
    case 'add':
      return ['add', task.folder, task.shard.id, '--weight', String(task.shard.weight)];
    case 'remove':
      return ['remove', task.folder, basename(task.shard.id)];
  }
}

const nameOf = (task: KeepTask): string =>
  task.type === 'merge' ? 'saved' : `${task.type === 'add' ? 'added' : 'removed'} ${basename(task.shard.id)}`;

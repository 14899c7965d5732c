/** A soup as a checkpoint: `soup merge` itself, so that nobody can tell which of the two wrote it. */
import { stripVTControlCharacters } from 'node:util';
import { SoupError } from '@diffusion-soup/core';
import type { Io } from '../../output.js';
import { modelArguments } from '../command-line.js';
import type { Doing } from './cook.js';
import type { KeepTask, Kept } from './protocol.js';

export async function keepCheckpoint(task: KeepTask, env: Io['env'], { tell, signal }: Doing): Promise<Kept> {
  const { run } = await import('../../run.js');
  let [answer, said] = ['', ''];
  const stderr = {
    write(text: string) {
      said = stripVTControlCharacters(text).trim() || said;
      tell({ type: 'work', work: { phase: 'writing', part: task.folder, done: 0, total: 0, queue: 0 } });
    },
  };
  const stdout = {
    write(text: string) {
      answer += text;
    },
  };
  tell({ type: 'work', work: { phase: 'writing', part: task.folder, done: 0, total: 0, queue: 0 } });
  const words = ['merge', ...modelArguments(task.soup), '--out', task.folder, '--json'];
  const exitCode = await run(words, { stdout, stderr, env, signal });
  if (exitCode !== 0) throw new SoupError(said.replace(/^soup: /, ''));
  const { bytes, files } = JSON.parse(answer) as Pick<Kept, 'bytes' | 'files'>;
  return { id: task.id, folder: task.folder, bytes, files };
}

/**
 * The first frame, before anything else is loaded: Node, Ink and the engine take their time, and nobody should look at
 * nothing meanwhile. It is what the kitchen will show in a moment; keys that are pressed already are kept for it.
 */
import { readdirSync } from 'node:fs';
import { printable } from '../text.js';
import { enterTerminal, isLinear } from './terminal.js';

type Process = Pick<NodeJS.Process, 'argv' | 'env' | 'stdin' | 'stdout'>;

export function paintFirstFrame({ argv, env, stdin, stdout }: Process): void {
  const [command, ...others] = argv.slice(2);
  const isWanted = command === undefined || (command === 'tui' && others.length < 2 && !others[0]?.startsWith('-'));
  if (!isWanted || !stdout.isTTY || !stdin.isTTY || isLinear(env)) return;
  enterTerminal({ stdin, stdout, isLinear: false });
  stdout.write(firstFrame(stdout.columns || 80, stdout.rows || 24, namesIn(env.SOUP_PANTRY || 'pantry')));
}

export function firstFrame(columns: number, rows: number, names: readonly string[]): string {
  const title = ' \x1b[1mDiffusion Soup\x1b[22m';
  const air = rows >= 22 ? 1 : 0;
  const room = Math.max(0, rows - 5 - air);
  const shards = names.slice(0, room).map((name) => `   \x1b[2mo ${name.slice(0, columns - 6)}\x1b[22m`);
  const lines = [title, ...Array<string>(air).fill(''), ...shards];
  return `\x1b[H${lines.join('\r\n')}\x1b[${Math.max(1, rows - 3)};1H \x1b[2mopening the kitchen\x1b[22m`;
}

function namesIn(folder: string): string[] {
  try {
    const found = readdirSync(folder, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() || entry.isSymbolicLink(),
    );
    return found.map(({ name }) => printable(name)).sort();
  } catch {
    return [];
  }
}

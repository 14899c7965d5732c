/**
 * The picture of the kitchen in the README: a real session in tmux, its screen as an SVG.
 *   npm run build && node scripts/screen.mjs
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './run.mjs';
import { svgOf } from './screen/svg.mjs';

const COLUMNS = 100;
const ROWS = 30;
const OUT = join(root, 'docs/tui.svg');
const KEYS = [
  ...['Down', 'Down', 'Down', 'S-Right', 'S-Right'], // a little of another shard
];
const PATIENCE_MS = 300_000;

const socket = `soup-screen-${process.pid}`;
const tmux = (/** @type {string[]} */ ...args) =>
  execFileSync('tmux', ['-u', '-L', socket, '-f', '/dev/null', ...args], { encoding: 'utf8' });
const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function shows(/** @type {RegExp} */ what) {
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await pause(100)) {
    const screen = tmux('capture-pane', '-p');
    if (what.test(screen)) return;
  }
  throw new Error(`the kitchen never showed ${what}:\n${tmux('capture-pane', '-p')}`);
}

const state = mkdtempSync(join(tmpdir(), 'soup-screen-'));
try {
  const env = [`XDG_STATE_HOME=${state}`, 'COLORTERM=truecolor', 'LANG=C.UTF-8'];
  const soup = ['env', '-u', 'CI', '-u', 'NO_COLOR', ...env, process.execPath, 'packages/cli/dist/main.js', 'tui'];
  const size = ['-x', String(COLUMNS), '-y', String(ROWS)];
  tmux(
    'set',
    '-g',
    'default-terminal',
    'tmux-256color',
    ';',
    'new-session',
    '-d',
    ...size,
    '-c',
    root,
    ...soup,
    'noto:0.6+ink:0.2',
  );
  await shows(/picture · /);
  for (const key of KEYS) tmux('send-keys', key);
  await shows(/sketch · /);
  await shows(/picture · /);
  const screen = tmux('capture-pane', '-e', '-p').replaceAll(state, '~/.local/state');
  mkdirSync(join(root, 'docs'), { recursive: true });
  writeFileSync(
    OUT,
    svgOf(screen, { columns: COLUMNS, title: 'soup tui: shards with sliders, and the picture they make' }),
  );
  console.log(OUT);
} finally {
  try {
    tmux('kill-server');
  } catch {
    // It has not even started.
  }
  rmSync(state, { recursive: true, force: true });
}

/** Running other programs: quietly with a log, or in the foreground with their exit code and signals. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Nothing that these scripts start may phone home. */
export const quietEnv = { TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' };

/** The script behind a package's command, run with this Node: no shell, no .cmd files. */
export function command(/** @type {string} */ packageName, name = packageName) {
  const file = createRequire(join(root, 'test/')).resolve(`${packageName}/package.json`);
  const { bin } = JSON.parse(readFileSync(file, 'utf8'));
  return join(dirname(file), typeof bin === 'string' ? bin : bin[name]);
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 * @returns {Promise<number>}  the exit code; 128 + the signal's number when one ended it; 127 when it did not start
 */
export function run(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: 'inherit', ...options });
    // The terminal sends Ctrl-C to the child too: wait for what it makes of it, and pass on what only we were sent.
    const ignore = () => {};
    const passOn = (/** @type {NodeJS.Signals} */ signal) => void child.kill(signal);
    process.on('SIGINT', ignore).on('SIGTERM', passOn).on('SIGHUP', passOn);
    const end = (/** @type {number} */ code) => {
      process.off('SIGINT', ignore).off('SIGTERM', passOn).off('SIGHUP', passOn);
      resolve(code);
    };
    child.on('error', (error) => {
      console.error(`${program}: ${error.message}`);
      end(127);
    });
    child.on('exit', (code, signal) => end(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

/**
 * Runs a program with its output in a log file, and shows the end of that only when the program fails.
 * @param {string} program
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions & { logName?: string }} [options]
 */
export async function runQuietly(program, args, { logName = 'run', ...options } = {}) {
  const log = join(tmpdir(), `diffusion-soup-${logName}-${process.pid}.log`);
  const file = openSync(log, 'a');
  const code = await run(program, args, { ...options, stdio: ['ignore', file, file] });
  closeSync(file);
  if (code === 0) rmSync(log, { force: true });
  else if (code !== 130) {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    console.error(lines.slice(-40).join('\n'));
    console.error(`(exit ${code} of: ${program} ${args.join(' ')}; the whole output is in ${log})`);
  }
  return code;
}

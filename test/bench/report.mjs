/** What was measured where, as a table and as facts for a machine to read. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, loadavg, platform } from 'node:os';
import { version } from '../../packages/cli/dist/index.js';

const require = createRequire(import.meta.url);

export function environment(/** @type {GPUAdapter} */ { info }, { name = '' } = {}) {
  const peers = name === 'peers';
  const cores = cpus();
  const args = process.argv.slice(2).map((arg) => (/^[\w./-]+$/.test(arg) ? arg : `'${arg}'`));
  return {
    command: ['npm run bench', ...(name || args.length > 0 ? ['--'] : []), ...(name ? [name] : []), ...args].join(' '),
    date: new Date().toISOString(),
    adapter: {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      driver: info.description, // where Dawn puts the driver and its version
    },
    machine: {
      platform: `${platform()}-${arch()}`,
      cpu: cores[0]?.model.trim() ?? 'unknown',
      cores: cores.length,
      /** Of the last minute: above a few tenths, others were at work and the numbers below say little. */
      load: loadavg()[0],
    },
    versions: {
      soup: version,
      node: process.versions.node,
      webgpu: versionOf(() => require.resolve('webgpu/package.json')),
      ...(peers ? versionsOfPeers() : { tinybench: versionOf(() => moduleFile('tinybench')) }),
    },
  };
}

const moduleFile = (/** @type {string} */ name) => new URL('../package.json', import.meta.resolve(name));

function versionsOfPeers() {
  const { dependencies } = JSON.parse(readFileSync(new URL('peers/package.json', import.meta.url), 'utf8'));
  return { 'onnxruntime-web': dependencies['onnxruntime-web'], tfjs: dependencies['@tensorflow/tfjs-core'] };
}

/** Unknown where all of this was made one file, for a machine without npm. */
function versionOf(/** @type {() => string | URL} */ find) {
  try {
    return JSON.parse(readFileSync(find(), 'utf8')).version;
  } catch {
    return 'of a bundle';
  }
}

/**
 * @param {ReturnType<typeof environment>} facts
 * @param {{
 *   name: string, tier: string, ms: number, samples: number, spread: number, gflops?: number, gbs?: number, ofFloor?: number
 * }[]} rows
 * @param {import('./peaks.mjs').Peaks} peaks
 */
export function printTable(facts, rows, peaks) {
  const percent = (/** @type {number | undefined} */ share) => (share === undefined ? '' : `${digits(100 * share)} %`);
  const lines = [
    ['', 'tier', 'median ms', 'spread', 'rate', '', 'of the floor', 'samples'],
    ...rows.map(({ name, tier, ms, spread, gflops, gbs, ofFloor, samples }) => {
      const [rate, unit] = gflops !== undefined ? [gflops, 'GFLOP/s'] : gbs !== undefined ? [gbs, 'GB/s'] : [];
      const cells = [rate === undefined ? '' : digits(rate), unit ?? '', percent(ofFloor), String(samples)];
      return [name, tier, digits(ms), percent(spread), ...cells];
    }),
  ];
  columns(lines, 'llrrrlrr');
  const { flops, matrixFlops, bytes } = peaks;
  const units = matrixFlops === undefined ? '' : `, ${digits(matrixFlops / 1e6)} on the matrix units`;
  console.log(
    `\nThe floor: ${digits(flops / 1e6)} GFLOP/s of f32${units}, ${digits(bytes / 1e6)} GB/s copied, measured before.`,
  );
  printEnvironment(facts);
}

/** Cells under one another, each to the left or to the right. */
export function columns(/** @type {string[][]} */ lines, /** @type {string} */ sides) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  for (const line of lines) {
    const cells = line.map((cell, i) => (sides[i] === 'r' ? cell.padStart(widths[i]) : cell.padEnd(widths[i])));
    console.log(cells.join('  ').trimEnd());
  }
}

/** @param {ReturnType<typeof environment>} facts */
export function printEnvironment({ command, date, adapter, machine, versions }) {
  const using = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  console.log(
    `\n${adapter.driver || adapter.device || adapter.architecture}; ${machine.cpu} x ${machine.cores}, ${machine.platform}, load before ${machine.load.toFixed(1)}`,
  );
  console.log(`${using.join(', ')}; ${date}; ${command}`);
}

/** Three digits that count. */
export const digits = (/** @type {number} */ value) =>
  value >= 100 ? value.toFixed(0) : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(value))));

export const median = (/** @type {readonly number[]} */ values) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

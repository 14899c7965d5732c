/**
 * `npm run bench -- peers`: our kernels beside those of ONNX Runtime Web and TensorFlow.js, on the same device, in the same
 * process, taking turns, so that whatever else the machine does meets them alike. Results are compared before times are.
 */
import { parseArgs } from 'node:util';
import { globals } from 'webgpu';
import { openGpu } from '../../../packages/cli/dist/index.js';
import { columns, digits, environment, median, printEnvironment } from '../report.mjs';
import { openOrt } from './ort.mjs';
import { ours } from './ours.mjs';
import { openTfjs } from './tfjs.mjs';
import { works } from './work.mjs';

const HELP = `Measures our kernels beside those of ONNX Runtime Web and TensorFlow.js on the same GPU device, in f32.

npm run bench -- peers [options]

  --only PATTERN   works whose name matches this regular expression, in any case
  --rounds N       how often they take turns (default: 5)
  --json           print JSON instead of the table; progress goes to stderr
  --help           print this`;

/** A sample takes at least this long, in ms, so that waiting for the GPU does not count. */
const SHORTEST_SAMPLE = 60;
/** Relative L2 distance from ours, above which a peer does not compute the same thing. */
const TOLERANCE = 1e-4;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/**
 * @param {import('./work.mjs').Work} work
 * @param {ReadonlyMap<string, import('./work.mjs').Arm>} arms
 */
async function measure(work, arms) {
  const expected = await arms.get('ours').result();
  const measured = [];
  for (const [name, arm] of arms) {
    const error = distance(await arm.result(), expected);
    if (!(error <= (work.tolerance ?? TOLERANCE))) {
      throw new Error(`${name} computes something else: ${work.name}, relative L2 ${error}`);
    }
    const begun = performance.now();
    await arm.run(1);
    const repeat = Math.max(1, Math.ceil(SHORTEST_SAMPLE / (performance.now() - begun)));
    await arm.run(repeat);
    measured.push({ name, arm, repeat, error, times: /** @type {number[]} */ ([]) });
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const { arm, repeat, times } of measured) {
      const begun = performance.now();
      await arm.run(repeat);
      times.push((performance.now() - begun) / repeat);
    }
  }
  const own = median(measured[0].times);
  return measured.map(({ name, error, times }) => {
    const ms = median(times);
    return {
      work: work.name,
      by: name,
      ms,
      spread: (Math.max(...times) - Math.min(...times)) / ms,
      ...(work.flop ? { gflops: work.flop / ms / 1e6 } : { gbs: work.bytes / ms / 1e6 }),
      ratio: ms / own,
      error,
    };
  });
}

/** ‖a - b‖ / ‖b‖ */
function distance(/** @type {Float32Array} */ a, /** @type {Float32Array} */ b) {
  if (a.length !== b.length) return Number.NaN;
  let [error, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(error / size);
}

async function main() {
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const wanted = works.filter(({ name }) => new RegExp(options.only, 'i').test(name));
  if (wanted.length === 0) {
    console.error(
      `bench: no work matches --only ${options.only}; there are ${works.map(({ name }) => name).join(', ')}`,
    );
    return 2;
  }
  const { gpu, adapter } = await openGpu({ precision: 'f32' });
  // What a browser has, and libraries for browsers ask for.
  Object.assign(globalThis, globals);
  const inBrowser = { gpu: { requestAdapter: async () => adapter } };
  Object.defineProperty(globalThis, 'navigator', { value: inBrowser, configurable: true });
  const peers = { 'onnxruntime-web': await openOrt(gpu.device), tfjs: await openTfjs(gpu.device, adapter.info) };

  const facts = environment(adapter, { name: 'peers' });
  const rows = [];
  for (const work of wanted) {
    process.stderr.write(`bench  ${work.name}\n`);
    const arms = new Map([['ours', ours(gpu, work)]]);
    for (const [name, open] of Object.entries(peers)) {
      const arm = await open(work);
      if (arm) arms.set(name, arm);
    }
    rows.push(...(await measure(work, arms)));
    for (const arm of arms.values()) await arm.destroy();
  }
  if (options.json) console.log(JSON.stringify({ ...facts, rows }, null, 2));
  else {
    print(rows);
    printEnvironment(facts);
  }
  return 0;
}

/** @param {Awaited<ReturnType<typeof measure>>} rows */
function print(rows) {
  const lines = rows.map(({ work, by, ms, spread, gflops, gbs, ratio, error }) => [
    ...[work, by, digits(ms), `${Math.round(spread * 100)} %`, digits(gflops ?? gbs)],
    ...[
      gflops === undefined ? 'GB/s' : 'GFLOP/s',
      by === 'ours' ? '' : `${ratio.toFixed(2)} x`,
      error.toExponential(1),
    ],
  ]);
  columns([['work, f32', '', 'median ms', 'spread', 'rate', '', 'ours is', 'differs by'], ...lines], 'llrrrlrr');
}

const exitCode = await main();
// Dawn keeps the process alive, so it has to be ended; but not before a pipe has taken everything.
await new Promise((resolve) => process.stdout.write('', () => resolve(undefined)));
process.exit(exitCode);

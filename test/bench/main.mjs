/** Measures every case in every precision tier that the adapter has, and says what came out. */
import { Bench } from 'tinybench';
import { openGpu } from '../../packages/cli/dist/index.js';
import { models } from './models.mjs';
import { ops } from './ops.mjs';
import { parseOptions } from './options.mjs';
import { floorOf, measurePeaks } from './peaks.mjs';
import { environment, printTable } from './report.mjs';
import { turns } from './turning.mjs';

/** A sample takes at least this long, in ms, so that submitting and waiting do not count. */
const SHORTEST_SAMPLE = 20;
const MOST_REPEATS = 64;
const FEWEST_SAMPLES = 3;

const options = parseOptions(process.argv.slice(2));

/**
 * @param {import('./cases.mjs').Case} one
 * @param {import('./cases.mjs').Gpu} gpu
 * @param {import('./peaks.mjs').Peaks} peaks
 */
async function measure({ name, prepare, isTierless, isWhole }, gpu, peaks) {
  const running = await prepare(gpu);
  try {
    await running.run(1); // compiles
    const repeat = isWhole ? 1 : await repeatsOf(running);

    const bench = new Bench({ time: options.time, iterations: FEWEST_SAMPLES, warmup: false, throws: true });
    bench.add(name, () => running.run(repeat), { async: true });
    const [task] = await bench.run();
    const { latency } = task.result;
    const ms = latency.p50 / repeat;
    const floorMs = floorOf(peaks, running, !isTierless && gpu.matrixUnits !== 'none');
    return {
      name,
      tier: isTierless ? 'any' : gpu.precision,
      ms,
      fastestMs: latency.min / repeat,
      /** How wide the middle half of the samples is, as a share of the median. */
      spread: (2 * latency.mad) / latency.p50,
      ...(floorMs && { floorMs, ofFloor: floorMs / ms }),
      samples: latency.samplesCount,
      repeat,
      ...(running.flop && { gflops: running.flop / ms / 1e6 }),
      ...(running.bytes && { gbs: running.bytes / ms / 1e6 }),
    };
  } finally {
    await running.destroy();
  }
}

/** How often to run within one sample; the plan for so many is made here, before anything is measured. */
async function repeatsOf(/** @type {import('./cases.mjs').Running} */ running) {
  const begun = performance.now();
  await running.run(1);
  const repeat = Math.min(MOST_REPEATS, Math.ceil(SHORTEST_SAMPLE / (performance.now() - begun)));
  if (repeat > 1) await running.run(repeat);
  return repeat;
}

async function main() {
  const { gpu: f32, adapter } = await openGpu({ precision: 'f32' });
  const f16 = adapter.features.has('shader-f16') ? (await openGpu({ precision: 'f16' })).gpu : undefined;
  const jobs = [...ops, ...models, ...turns]
    .filter(({ isSlow }) => options.full || !isSlow)
    .flatMap((one) => (one.isTierless || !f16 ? [{ one, gpu: f32 }] : [f32, f16].map((gpu) => ({ one, gpu }))))
    .filter(({ one, gpu }) => options.only?.test(`${one.name} ${one.isTierless ? '' : gpu.precision}`) ?? true);
  if (jobs.length === 0) {
    console.error(`bench: no row matches --only ${options.only?.source}; see --help`);
    return 2;
  }

  const facts = environment(adapter); // how busy the machine is before we are
  process.stderr.write('bench  what the adapter can do at most\n');
  const peaks = await measurePeaks(f16 ?? f32);
  const rows = [];
  for (const { one, gpu } of jobs) {
    process.stderr.write(`bench  ${one.name}${one.isTierless ? '' : ` ${gpu.precision}`}\n`);
    rows.push(await measure(one, gpu, peaks));
  }
  if (options.json) console.log(JSON.stringify({ ...facts, peaks, rows }, null, 2));
  else printTable(facts, rows, peaks);
  return 0;
}

const exitCode = await main();
// Dawn keeps the process alive, so it has to be ended; but not before a pipe has taken everything.
await new Promise((resolve) => process.stdout.write('', () => resolve(undefined)));
process.exit(exitCode);

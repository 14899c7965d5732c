/**
 * `npm run bench:merge`: how fast models are merged, beside what the disk and the page cache allow. Makes ingredients of
 * the size of Stable Diffusion 2.1's UNet, reads them with `cat`, copies one with `cp`, and merges them with `soup`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { configOf, tensorsOf, writeRandom } from './sd21.mjs';

const HELP = `npm run bench:merge [-- options]

  --size SIZE     sd21 (866 M weights, 1.7 GB a file) or small (a sixteenth); default: small
  --inputs N      ingredients (default: 4)
  --dir FOLDER    where the files go (default: a new temporary folder, removed at the end)
  --runs N        how often each row is measured; the fastest counts (default: 2)
  --json          print JSON instead of a table`;

const MAIN = process.env.SOUP_MAIN ?? fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: 'small' },
    inputs: { type: 'string', default: '4' },
    dir: { type: 'string' },
    runs: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}

const folder = values.dir ?? mkdtempSync(join(tmpdir(), 'bench-merge-'));
const { json, config } = configOf(values.size === 'sd21' ? 1 : 4);
const names = Array.from({ length: Number(values.inputs) }, (_, i) => `shard-${i + 1}`);
const tensors = tensorsOf(config);
for (const name of names) {
  mkdirSync(join(folder, name, 'unet'), { recursive: true });
  writeFileSync(join(folder, name, 'unet/config.json'), JSON.stringify(json));
  writeRandom(join(folder, name, 'unet/diffusion_pytorch_model.safetensors'), tensors);
}
const files = names.map((name) => join(folder, name, 'unet/diffusion_pytorch_model.safetensors'));
const each = statSync(files[0]).size;
const cache = join(folder, 'cache');
// Mesa keeps compiled shaders below the same folder; they are not what is measured.
const shaders =
  process.env.MESA_SHADER_CACHE_DIR ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mesa_shader_cache');
const out = join(folder, 'soup');

const rows = [];
const row = async (
  /** @type {string} */ what,
  /** @type {number} */ bytes,
  /** @type {() => unknown} */ once,
  before = () => {},
) => {
  let best = { seconds: Number.POSITIVE_INFINITY, rss: undefined };
  for (let i = 0; i < Number(values.runs); i++) {
    before();
    const begun = performance.now();
    const rss = await once();
    const seconds = (performance.now() - begun) / 1000;
    if (seconds < best.seconds) best = { seconds, rss };
  }
  rows.push({ what, bytes, ...best });
  if (!values.json) console.error(`${what}: ${best.seconds.toFixed(2)} s`);
  return best.seconds;
};
const shell = (/** @type {string} */ line) => {
  const { status, stderr } = spawnSync('sh', ['-c', line]);
  if (status !== 0) throw new Error(String(stderr));
};
/** Ends with the peak of the process' memory in bytes. */
const soup = (/** @type {string[]} */ ...more) =>
  new Promise((resolve, reject) => {
    const args = [
      MAIN,
      'merge',
      ...names.map((name) => join(folder, name)),
      '-o',
      out,
      '--force',
      '--json',
      '-q',
      ...more,
    ];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, XDG_CACHE_HOME: cache, MESA_SHADER_CACHE_DIR: shaders },
    });
    let [peak, said] = [0, ''];
    const look = setInterval(() => {
      try {
        const kib = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
        peak = Math.max(peak, Number(kib) * 1024);
      } catch {
        // It has ended, or this is no Linux.
      }
    }, 20);
    child.stderr.on('data', (text) => (said += text));
    child.stdout.resume();
    child.on('error', reject).on('close', (code) => {
      clearInterval(look);
      if (code === 0) resolve(peak);
      else reject(new Error(said));
    });
  });

const quote = (/** @type {string} */ path) => `'${path}'`;
shell(`cat ${files.map(quote).join(' ')} > /dev/null`); // into the page cache, if it is large enough
const cat = await row('cat inputs > /dev/null', each * names.length, () =>
  shell(`cat ${files.map(quote).join(' ')} > /dev/null`),
);
const cp = await row('cp of one input, synced', each, () =>
  shell(`cp ${quote(files[0])} ${quote(out)}.copy && sync ${quote(out)}.copy`),
);
rmSync(`${out}.copy`);
const all = each * (names.length + 1);
await row(
  'soup merge, never seen',
  all,
  () => soup(),
  () => rmSync(cache, { recursive: true, force: true }),
);
await row('soup merge, known', all, () => soup());
const torch = python();
if (torch) await row('PyTorch, a tensor at a time', all, () => shell(torch));

/** The plain way in Python, where it is installed: f32 sums, one tensor at a time, written by safetensors. */
function python() {
  if (spawnSync('python3', ['-c', 'import torch, safetensors.torch']).status !== 0) return undefined;
  const script = join(folder, 'average.py');
  writeFileSync(
    script,
    `import sys, torch
from safetensors import safe_open
from safetensors.torch import save_file
*inputs, out = sys.argv[1:]
files = [safe_open(path, 'pt') for path in inputs]
mean = lambda key: (sum(f.get_tensor(key).float() for f in files) / len(files)).half()
save_file({key: mean(key) for key in files[0].keys()}, out)
`,
  );
  return `python3 ${quote(script)} ${files.map(quote).join(' ')} ${quote(`${out}.torch`)} && sync ${quote(`${out}.torch`)}`;
}

if (!values.dir) rmSync(folder, { recursive: true, force: true });
const { adapter } = JSON.parse(spawnSync(process.execPath, [MAIN, 'doctor', '--json']).stdout.toString() || '{}');
const ideal = cat + cp;
const report = {
  adapter: typeof adapter === 'object' ? (adapter?.name ?? adapter?.device) : adapter,
  cores: availableParallelism(),
  inputs: names.length,
  bytesEach: each,
  tensors: tensors.length,
  rows: rows.map(({ what, bytes, seconds, rss }) => ({
    what,
    seconds,
    gbPerSecond: bytes / seconds / 1e9,
    rss,
    ofCatAndCp: ideal / seconds,
  })),
};
if (values.json) console.log(JSON.stringify(report, null, 2));
else {
  console.log(
    `${report.adapter}, ${report.cores} cores: ${names.length} x ${(each / 1e9).toFixed(2)} GB, ${tensors.length} tensors each`,
  );
  for (const { what, seconds, gbPerSecond, rss, ofCatAndCp } of report.rows) {
    const memory = rss ? `${(rss / 2 ** 20).toFixed(0)} MiB` : '';
    const ratio = /soup|PyTorch/.test(what) ? `${ofCatAndCp.toFixed(2)} x` : '';
    console.log(
      `${what.padEnd(28)} ${seconds.toFixed(2).padStart(7)} s ${gbPerSecond.toFixed(2).padStart(7)} GB/s ${ratio.padStart(7)} ${memory.padStart(9)}`,
    );
  }
  console.log('x: time of cat and cp together / time of the merge');
}

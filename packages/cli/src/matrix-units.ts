/**
 * May the matrix units be used? Their kernels are young, and so are the drivers' compilers for them: some die, some
 * compute nonsense. So each adapter with its driver is asked once, in a process of its own and for a limited time, and the
 * verdict is kept. SOUP_MATRIX_UNITS=none|products|all overrules it, SOUP_MATRIX_UNITS=check asks again.
 */
import { type ExecFileException, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  hasMatrixUnits,
  judgeMatrixUnits,
  type MatrixUnits,
  type MatrixUnitsResult,
  matrixKernels,
} from '@diffusion-soup/core';
import { writeFileAtomic } from './atomic-file.js';
import { cacheFolder } from './hash/cache.js';
import { printable } from './text.js';
import { version, versionOf } from './version.js';

export interface Verdict {
  readonly units: MatrixUnits;
  /** Why it is not all. */
  readonly warning?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * A compiler that hangs is no better than one that dies. One that works takes 7 minutes of a processor (26 s on 16 cores,
 * H200), and is given twice that and a minute.
 */
const LIMIT_SECONDS = 60 + Math.ceil(840 / availableParallelism());

/** For whoever waits. */
const ASKING =
  "Trying this GPU's matrix units, once for this driver: half a minute with many processors, some minutes with few.";
const PROBE = fileURLToPath(new URL('./matrix-probe.js', import.meta.url));
const UNITS: readonly MatrixUnits[] = ['none', 'products', 'all'];

const run = promisify(execFile);

/** undefined where the adapter has none, and core decides. */
export async function matrixUnitsOf(
  adapter: GPUAdapter,
  name: string | undefined,
  env: Env = process.env,
  {
    probe = runProbe,
    onAsking,
  }: { probe?: (name?: string) => Promise<string>; onAsking?: (about: string) => void } = {},
): Promise<Verdict | undefined> {
  if (!hasMatrixUnits(adapter, adapter.info)) return undefined;
  const wish = env.SOUP_MATRIX_UNITS;
  const forced = UNITS.find((units) => units === wish);
  if (forced) return { units: forced };
  const file = verdictFile(adapter, env);
  const known = wish === 'check' || file === undefined ? undefined : await readVerdict(file);
  if (known) return known;
  onAsking?.(ASKING);
  const verdict = await judge(() => probe(name));
  if (file !== undefined) {
    await mkdir(dirname(file), { recursive: true })
      .then(() => writeFileAtomic(file, JSON.stringify(verdict)))
      .catch(() => undefined); // asked again next time
  }
  return verdict;
}

async function runProbe(name?: string): Promise<string> {
  const args = [PROBE, ...(name === undefined ? [] : [name])];
  const limits = { timeout: LIMIT_SECONDS * 1000, killSignal: 'SIGKILL', maxBuffer: 1e7 } as const;
  return (await run(process.execPath, args, limits)).stdout;
}

async function judge(probe: () => Promise<string>): Promise<Verdict> {
  try {
    const results: MatrixUnitsResult[] = JSON.parse(await probe());
    const units = judgeMatrixUnits(results);
    if (units === 'all') return { units };
    const wrong = results.filter((one) => judgeMatrixUnits([one]) !== 'all').map(({ name }) => name);
    return {
      units,
      warning: `the matrix units of this GPU compute something else for ${wrong.join('; ')}: ${without(units)}`,
    };
  } catch (error) {
    const { killed, signal, code, stderr } = error as Partial<ExecFileException & { readonly stderr: string }>;
    const said = stderr ? ` (${printable(stderr.trim().slice(0, 300))})` : '';
    const how = killed ? `took longer than ${LIMIT_SECONDS} s` : `ended with ${signal ?? code ?? String(error)}${said}`;
    return { units: 'none', warning: `trying the matrix units of this GPU ${how}: ${without('none')}` };
  }
}

const without = (units: MatrixUnits): string =>
  `${units === 'products' ? 'attention goes' : 'pictures are drawn'} without them. SOUP_MATRIX_UNITS=check tries again`;

/** One for each adapter, driver and version of whatever has a part in it. */
function verdictFile({ info }: GPUAdapter, env: Env): string | undefined {
  const folder = cacheFolder(env);
  if (folder === undefined) return undefined;
  const { vendor, architecture, device, description } = info;
  const key = [vendor, architecture, device, description, version, versionOf('webgpu') ?? '', matrixKernels()];
  return join(folder, 'matrix-units', `${createHash('sha256').update(JSON.stringify(key)).digest('hex')}.json`);
}

async function readVerdict(file: string): Promise<Verdict | undefined> {
  try {
    const { units, warning } = JSON.parse(await readFile(file, 'utf8'));
    if (!UNITS.includes(units)) return undefined;
    return { units, ...(typeof warning === 'string' && { warning }) };
  } catch {
    return undefined;
  }
}

/**
 * Names for what is not complete: hidden, beside the target, and with the process in them that writes it, so that what a
 * killed process left behind can be told from the work of a living one.
 *
 *     .my-soup.5e884898-4711-1234567-3fa2c1.soup-tmp   grows, or is being deleted
 *     .my-soup.5e884898-4711-1234567-3fa2c1.soup-old   what it replaces: always whole
 *              system - pid - started - random
 */
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, renameSync, Stats } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

const KINDS = ['tmp', 'old', 'ledger'] as const;
type Kind = (typeof KINDS)[number];

const NAME = /^\.(.+)\.(([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{6})\.soup-(tmp|old|ledger)$/s;

/** When it is not known whether a process lives, what it wrote is its own for so long. */
const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000;

const LONGEST_STEM = 180; // bytes; names may have 255

export type TemporaryNames = Readonly<Record<Kind, string>>;

/** Names that belong together, for one attempt to write `target`. */
export function temporaryNames(target: string): TemporaryNames {
  const path = resolve(target);
  const id = `${self().system}-${process.pid}-${self().started}-${randomBytes(3).toString('hex')}`;
  return namesOf(dirname(path), stemOf(path), id);
}

const namesOf = (folder: string, stem: string, id: string): TemporaryNames => {
  const name = (kind: Kind) => join(folder, `.${stem}.${id}.soup-${kind}`);
  return { tmp: name('tmp'), old: name('old'), ledger: name('ledger') };
};

const SHORTENED = /~[0-9a-f]{16}$/;
const isShortened = (stem: string): boolean => SHORTENED.test(stem);

/** The name of the target, shortened where there would be no room for the rest. */
function stemOf(path: string): string {
  const name = basename(path);
  if (Buffer.byteLength(name) <= LONGEST_STEM && !isShortened(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${[...name].slice(0, 40).join('')}~${digest}`;
}

export interface Leftover {
  readonly path: string;
  readonly kind: Kind;
  /** The others of the same attempt, whether they are there or not. */
  readonly names: TemporaryNames;
  /** Without `.NAME.soup-kind`: the target, unless its name was too long. */
  readonly stem: string;
  /** Undefined where that cannot be known. */
  readonly isAlive: boolean | undefined;
  readonly isOurs: boolean;
}

/** What lies in a folder under such names; only what belongs to `target`, if it is given. */
export function leftoversIn(folder: string, target?: string): Leftover[] {
  const stem = target === undefined ? undefined : stemOf(resolve(target));
  const found: Leftover[] = [];
  for (const name of list(folder)) {
    const match = NAME.exec(name);
    if (!match || (stem !== undefined && match[1] !== stem)) continue;
    const [, itsStem, id, system, pid, started, kind] = match as unknown as [string, string, string, ...string[]];
    const owner = { system: system!, pid: Number(pid), started: started! };
    found.push({
      path: join(folder, name),
      kind: kind as Kind,
      names: namesOf(folder, itsStem, id),
      stem: itsStem,
      isAlive: isAlive(owner),
      isOurs: owner.pid === process.pid && owner.system === self().system && owner.started === self().started,
    });
  }
  return found;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // what cannot be read cannot be tidied
  }
}

/**
 * Deletes what nobody is going to complete: the work of dead processes, and old work of unknown ones. Returns what it
 * deleted. What is to go in place of something that is missing stays: see atomic-folder.ts and atomic-file.ts.
 */
export async function removeOrphans(
  folder: string,
  { target, olderThanMs = ORPHAN_AGE_MS }: { target?: string; olderThanMs?: number } = {},
): Promise<string[]> {
  const removed: string[] = [];
  for (const { path, kind, names, stem, isAlive } of leftoversIn(folder, target)) {
    if (isAlive ?? !isOlder(path, olderThanMs)) continue;
    if (kind === 'ledger') continue;
    if (kind === 'old' && (isShortened(stem) || !isThere(join(folder, stem)))) continue;
    if (kind === 'tmp' && !isGone(names.old)) continue;
    // In this order: a ledger whose file has gone is one whose file was put in place.
    if (kind === 'tmp' && !isGone(names.ledger) && !(await remove(names.ledger))) continue;
    if (await (kind === 'old' ? discard(path, join(folder, stem)) : remove(path))) removed.push(path);
  }
  return removed;
}

const tidied = new Set<string>();

/** The same, when a process first writes into a folder. */
export async function tidy(folder: string): Promise<void> {
  if (tidied.has(folder)) return;
  tidied.add(folder);
  await removeOrphans(folder);
}

/** Deletes what was replaced. It gives up its name first, since what has it is whole. */
export async function discard(old: string, target: string): Promise<boolean> {
  const doomed = temporaryNames(target).tmp;
  try {
    renameSync(old, doomed);
  } catch {
    return false;
  }
  return remove(doomed);
}

/** Best effort: what cannot be deleted now is deleted by a later command. */
export const remove = (path: string): Promise<boolean> =>
  rm(path, { recursive: true, force: true }).then(
    () => true,
    () => false,
  );

/** For sure: where the disk does not tell, it is neither there nor gone. Links count as what they are. */
export const isThere = (path: string): boolean => facts(path) instanceof Stats;
export const isGone = (path: string): boolean => facts(path) === undefined;

function isOlder(path: string, ageMs: number): boolean {
  const found = facts(path);
  return found instanceof Stats && Date.now() - found.mtimeMs > ageMs;
}

function facts(path: string): Stats | 'unknown' | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return 'unknown';
  }
}

interface Owner {
  /** One table of processes: a start of one machine, or of one container in it. */
  readonly system: string;
  readonly pid: number;
  readonly started: string;
}

let own: Owner | undefined;

function self(): Owner {
  own ??= { system: systemId(), pid: process.pid, started: startOf('self') ?? '0' };
  return own;
}

function systemId(): string {
  let facts: string;
  try {
    facts = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8') + readlinkSync('/proc/self/ns/pid');
  } catch {
    facts = hostname();
  }
  return createHash('sha256').update(facts).digest('hex').slice(0, 8);
}

/** When a process was started, in ticks since the system was; undefined where that is not told, or it has ended. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // "pid (name) state ...": the name may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : fields[19];
  } catch {
    return undefined;
  }
}

function isAlive({ system, pid, started }: Owner): boolean | undefined {
  if (system !== self().system) return undefined; // elsewhere, or before the machine was started again
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const now = startOf(pid);
  // The number was given to another process meanwhile, or nobody has asked how it ended.
  if (now !== undefined) return now === started;
  return started === '0' ? undefined : true;
}

/** `soup pantry`: the models at hand, by name. */
import { resolve } from 'node:path';
import { formatBytes, UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import { openHashCache } from '../hash/cache.js';
import { hashModel } from '../hash/model.js';
import type { HashOptions } from '../hash/weights.js';
import type { Output } from '../output.js';
import { addModel, removeModel } from '../pantry/add.js';
import { type Checked, checkModel } from '../pantry/check.js';
import { pantryFolder } from '../pantry/find.js';
import { describeModel, modelsIn, type PantryModel } from '../pantry/models.js';
import { byteProgress } from '../progress.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { printable } from '../text.js';

interface PantryFlags extends CommonFlags {
  readonly pantry?: string;
}

interface AddFlags extends PantryFlags {
  readonly name?: string;
  readonly note?: string;
  readonly copy?: boolean;
  readonly link?: boolean;
}

interface RemoveFlags extends PantryFlags {
  readonly delete?: boolean;
  readonly force?: boolean;
}

export function pantryCommand(program: Command, run: Run): void {
  const pantry = program
    .command('pantry')
    .summary('list, add, remove and check the models at hand')
    .description(
      'A pantry is a folder of models ($SOUP_PANTRY, else ./pantry). Every command takes the names of its models. Folders ' +
        'that lie in it need nothing more; the index pantry.json names models that are elsewhere, and keeps the hashes ' +
        'that all of them had when they were added.',
    )
    .addHelpText(
      'after',
      `
Examples:
  soup pantry list
  soup pantry add ~/models/stable-diffusion-v1-5 --name sd15
  soup pantry add ./noto --copy
  soup pantry check
  soup pantry remove sd15`,
    );
  const subcommand = (name: string, description: string): Command =>
    withCommonFlags(
      pantry
        .command(name)
        .description(description)
        .option('--pantry <folder>', 'the pantry (default: $SOUP_PANTRY, else ./pantry)'),
    );
  const folderOf = ({ pantry: named }: PantryFlags, { io }: Output): string =>
    named === undefined ? pantryFolder(io.env) : resolve(named);

  subcommand('list', 'Lists the models: kind, parts, size, architecture and the beginning of the content hash.').action(
    async (flags: PantryFlags) => {
      const output = run.output(flags);
      await list(folderOf(flags, output), output);
    },
  );
  subcommand('add', 'Puts a model into the index: where it is (by default), as a copy, or as a link.')
    .argument('<path>', 'a model folder as diffusers writes it, or a .safetensors file')
    .option('--name <name>', 'what to call it (default: the name of the folder or file)')
    .option('--copy', 'copy it into the pantry, and compare the copy with the original')
    .option('--link', 'put a symbolic link into the pantry')
    .option('--note <text>', 'a note to keep with it')
    .action(async (path: string, flags: AddFlags) => {
      const output = run.output(flags);
      await add(folderOf(flags, output), path, flags, output);
    });
  subcommand('remove', 'Takes a model out of the index. Its files stay where they are.')
    .argument('<name>', 'a name in the pantry')
    .option('--delete', "delete the files, too, if they are the pantry's own copy")
    .option('-f, --force', 'really delete them')
    .action(async (name: string, flags: RemoveFlags) => {
      const output = run.output(flags);
      const { delete: deletes = false, force = false } = flags;
      const removed = await removeModel(folderOf(flags, output), name, { deletes, force });
      output.print(`${printable(name)} is out of the pantry${removed.deleted ? ', and its copy is deleted' : ''}`);
      if (!removed.deleted && removed.entry.held === 'copy')
        output.note(`its files are still at ${printable(removed.path)}`);
      output.result({ name, path: removed.path, deleted: removed.deleted });
    });
  subcommand('check', 'Reads all models, or one, and compares them with the index. Any difference gives exit code 1.')
    .argument('[name]', 'a name in the pantry')
    .action(async (name: string | undefined, flags: PantryFlags) => {
      const output = run.output(flags);
      run.exitCode = await check(folderOf(flags, output), name, output);
    });
}

const hashOptions = (output: Output, doing: string): HashOptions => {
  const line = byteProgress();
  return {
    signal: output.io.signal,
    cache: openHashCache(output.io.env),
    onProgress: (done, total) => output.status(`${doing}: ${line(done, total)}`),
  };
};

const shortRoot = (root: string): string => root.slice(0, 12);

async function list(folder: string, output: Output): Promise<void> {
  const models = await modelsIn(folder);
  const rows: Awaited<ReturnType<typeof describe>>[] = [];
  for (const model of models) rows.push(await describe(model, output));
  output.endStatus();
  if (rows.length === 0) output.note(`there are no models in ${printable(folder)}; add one with "soup pantry add"`);
  const text = table(
    [
      ['name', 'kind', 'parts', 'size', 'architecture', 'root'],
      ...rows.map(({ name, kind, held, parts, bytes, architecture, root, problem }) => [
        printable(name),
        held === 'link' ? 'link' : kind,
        problem ?? parts.join(' '),
        bytes === undefined ? '' : formatBytes(bytes),
        architecture ?? '',
        root === undefined ? '' : shortRoot(root),
      ]),
    ],
    'lllrll',
  );
  if (rows.length > 0) for (const line of text) output.print(line);
  for (const { name, note } of rows) if (note !== undefined) output.print(`${printable(name)}: ${printable(note)}`);
  output.result({ folder, models: rows, warnings: output.warnings });
}

/** Roots come from the index, or are computed: the first time that takes as long as reading the models. */
async function describe(model: PantryModel, output: Output) {
  const { name, path, kind, entry } = model;
  const description = await describeModel(model);
  let [root, bytes] = [entry?.root, entry?.bytes];
  let problem = description ? undefined : 'cannot be read: see "soup pantry check"';
  if (!entry && description) {
    const hash = await hashModel(path, hashOptions(output, `reading ${printable(name)}`)).catch((error: unknown) => {
      if (output.io.signal.aborted) throw error;
      problem = 'damaged: see "soup pantry check"';
    });
    [root, bytes] = [hash?.root, hash?.bytes];
  }
  const { held, note } = entry ?? {};
  const { parts = [], architecture } = description ?? {};
  return { name, path, kind, indexed: entry !== undefined, held, parts, bytes, architecture, root, note, problem };
}

async function add(folder: string, path: string, { name, note, copy, link }: AddFlags, output: Output): Promise<void> {
  if (copy && link) throw new UsageError('--copy and --link exclude each other');
  const {
    entry,
    path: found,
    twin,
  } = await addModel(folder, path, {
    ...hashOptions(output, `reading ${printable(path)}`),
    held: copy ? 'copy' : link ? 'link' : 'reference',
    ...(name !== undefined && { name }),
    ...(note !== undefined && { note }),
  });
  output.endStatus();
  if (twin !== undefined) output.warn(`${printable(entry.name)} has the same weights as ${printable(twin)}`);
  output.print(`${printable(entry.name)}  ${formatBytes(entry.bytes)}  ${shortRoot(entry.root)}  ${printable(found)}`);
  output.result({ ...entry, path: found, warnings: output.warnings });
}

async function check(folder: string, name: string | undefined, output: Output): Promise<number> {
  const models = (await modelsIn(folder)).filter((model) => name === undefined || model.name === name);
  if (name !== undefined && models.length === 0) {
    throw new UsageError(`the pantry has no model ${printable(name)}; see "soup pantry list"`);
  }
  const results: Checked[] = [];
  for (const model of models) {
    results.push(await checkModel(model, hashOptions(output, `reading ${printable(model.name)}`)));
  }
  output.endStatus();
  for (const line of table(
    results.map((one) => [printable(one.name), one.verdict, shortRoot(one.root ?? '')]),
    'lll',
  ))
    output.print(line);
  for (const { name: of, verdict, detail } of results) {
    if (detail !== undefined) output.error(`${printable(of)} is ${verdict}: ${detail}`);
  }
  const isFine = results.every(({ verdict }) => verdict === 'ok' || verdict === 'not indexed');
  output.result({ folder, ok: isFine, models: results });
  return isFine ? 0 : 1;
}

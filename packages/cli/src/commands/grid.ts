/** `soup grid`: labelled contact sheets of a batch, as PNG or as one HTML page. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, extname, resolve, sep } from 'node:path';
import { CheckpointError, UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { writeFileAtomic } from '../atomic-file.js';
import { layOutSheets, type Sheet } from '../batch/grid.js';
import { gridHtml } from '../batch/grid-html.js';
import { readItems } from '../batch/read.js';
import { knownResults, type Result } from '../batch/results.js';
import { type CommonFlags, collect, wholeNumber, withCommonFlags } from '../flags.js';
import { encodePng, type Picture } from '../image/png.js';
import type { Output } from '../output.js';
import { checkWritable, makeFolder } from '../picture-file.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';
import { drawBatch } from './batch.js';

interface GridFlags extends CommonFlags {
  readonly out: string;
  readonly rows?: string;
  readonly columns?: string;
  readonly title?: string;
  readonly cell?: number;
  readonly pictures?: string;
  readonly default?: readonly string[];
}

export function gridCommand(program: Command, run: Run): void {
  const command = program
    .command('grid')
    .summary('lay pictures of a batch out in rows and columns')
    .description('Makes labelled contact sheets of what "soup batch" drew; given a manifest, it is drawn first.')
    .argument('<folder|manifest>', 'the folder of a batch, or its manifest')
    .requiredOption('-o, --out <file>', 'a .png, or a .html that has everything in it')
    .option('--rows <name>', 'what changes from row to row: model, prompt, seed, steps or an axis (default: model)')
    .option('--columns <name>', 'what changes from column to column (default: seed)')
    .option('--title <text>', 'above it all')
    .option('--cell <pixels>', 'width of a picture on the sheet (default: as it is)', wholeNumber(16, 4096))
    .option('--pictures <folder>', 'where those of a manifest go (default: beside the sheet)')
    .option('--default <field=value>', 'what items of a manifest have that say nothing; may be repeated', collect);
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup grid pictures -o grid.html --rows model --columns seed
  soup grid sweep.yaml -o sweep.png

A sweep from one model to another, and a soup without each of its ingredients, as axes of a manifest:
  axes: { model: { between: [noto, ink], steps: 5 }, seed: 1..4 }
  axes: { model: { leave_one_out: noto+ink+fluent }, seed: 1..4 }`,
    )
    .action(async (source: string, flags: GridFlags) => {
      const output = run.output(flags);
      const ending = extname(flags.out).toLowerCase();
      if (ending !== '.png' && ending !== '.html') {
        throw new UsageError(`--out ${printable(flags.out)}: a sheet is a .png or a .html`);
      }
      checkWritable(resolve(flags.out));
      const isFolder = statSync(source, { throwIfNoEntry: false })?.isDirectory() ?? false;
      const folder = isFolder ? source : (flags.pictures ?? flags.out.replace(/\.\w+$/, '-pictures'));
      if (!isFolder) {
        const items = await readItems(source, { defaults: flags.default });
        const how = { out: folder, format: 'png', precision: 'auto', queueName: '' } as const;
        run.exitCode = await drawBatch(items, how, output);
      }
      await writeGrid(folder, flags, ending === '.html', output);
    });
}

async function writeGrid(folder: string, flags: GridFlags, isHtml: boolean, output: Output): Promise<void> {
  const results = [...(await knownResults(folder)).values()];
  const { sheets, rows, columns } = layOutSheets(results, flags);
  const title = flags.title ?? basename(resolve(folder));
  const out = resolve(flags.out);
  await makeFolder(dirname(out));
  const files: string[] = [];
  if (isHtml) {
    const html = await gridHtml(sheets, title, async (s, r, c) => {
      const result = sheets[s]!.cells[r]![c];
      if (!result) return undefined;
      const { model, prompt, seed } = result;
      return { ...(await cellBytes(folder, result, flags.cell)), title: `${model}: ${prompt}, seed ${seed}` };
    });
    await writeFileAtomic(out, html);
    files.push(out);
  } else {
    const { contactSheet } = await import('../image/contact-sheet.js');
    for (const [i, sheet] of sheets.entries()) {
      const file = i === 0 ? out : out.replace(/\.png$/i, `-${i + 1}.png`);
      const pictures = await sheetPictures(folder, sheet, flags.cell);
      const heading = [title, sheet.title].filter(Boolean).join(': ');
      await writeFileAtomic(file, encodePng(await contactSheet({ ...sheet, pictures, title: heading })));
      files.push(file);
    }
  }
  for (const file of files) output.print(file);
  const count = results.filter(({ status }) => status === 'done').length;
  output.result({
    type: 'grid',
    files,
    rows,
    columns,
    pictures: count,
    sheets: sheets.length,
    warnings: output.warnings,
  });
}

/** A log may come from anywhere: what it names must lie in its folder. */
async function readPicture(folder: string, { path = '' }: Result): Promise<Buffer> {
  const file = resolve(folder, path);
  if (!file.startsWith(resolve(folder) + sep)) {
    throw new CheckpointError(`the log of ${printable(folder)} names ${printable(path)}, which is not in that folder`, {
      path,
    });
  }
  return readFile(file);
}

const TYPES: Readonly<Record<string, string>> = { '.png': 'image/png', '.webp': 'image/webp', '.jpg': 'image/jpeg' };

async function cellBytes(folder: string, result: Result, cell: number | undefined) {
  const bytes = await readPicture(folder, result);
  const type = TYPES[extname(result.path ?? '')];
  if (cell === undefined && type !== undefined) return { type, bytes };
  const { default: sharp } = await import('sharp');
  return { type: 'image/png', bytes: await sharp(bytes).resize({ width: cell }).png().toBuffer() };
}

/** All of one size, which the first picture has. */
async function sheetPictures(
  folder: string,
  { cells }: Sheet,
  cell: number | undefined,
): Promise<(Picture | undefined)[][]> {
  const { default: sharp } = await import('sharp');
  let size: { width: number; height: number } | undefined;
  const rows: (Picture | undefined)[][] = [];
  for (const row of cells) {
    const pictures: (Picture | undefined)[] = [];
    for (const result of row) {
      if (!result) {
        pictures.push(undefined);
        continue;
      }
      const from = sharp(await readPicture(folder, result))
        .removeAlpha()
        .toColourspace('srgb');
      const fitted = size
        ? from.resize(size.width, size.height, { fit: 'contain' })
        : cell
          ? from.resize({ width: cell })
          : from;
      const { data, info } = await fitted.raw().toBuffer({ resolveWithObject: true });
      size ??= { width: info.width, height: info.height };
      pictures.push({ ...size, pixels: new Uint8Array(data) });
    }
    rows.push(pictures);
  }
  return rows;
}

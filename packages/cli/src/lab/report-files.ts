/** A report as files: a page for people, JSON and CSV for programs. */
import { join } from 'node:path';
import { type Report, toJson } from '@diffusion-soup/core';
import { writeFileAtomic } from '../atomic-file.js';
import { makeFolder } from '../picture-file.js';
import { type Drawing, pictureFinder } from './drawing.js';
import { type PictureOf, reportHtml } from './page.js';
import type { Lab } from './session.js';

/** Rows of a CSV; the columns are the keys, in the order in which they come up. */
export type CsvRows = readonly Readonly<Record<string, string | number | boolean | undefined>>[];

export interface ReportFilesOptions {
  readonly out: string;
  readonly pictureOf: PictureOf;
  readonly csv: CsvRows;
}

/** Writes a report and says what it found. */
export async function finishReport(
  { output, flags }: Pick<Lab, 'output' | 'flags'>,
  report: Report,
  { csv, drawings }: { csv: CsvRows; drawings: Iterable<Drawing> },
): Promise<void> {
  const files = await writeReport(report, { out: flags.out, csv, pictureOf: pictureFinder(drawings) });
  output.endStatus();
  for (const text of report.summary) output.note(text);
  for (const file of files) output.print(file);
  output.result({ ...report, files, warnings: output.warnings });
}

/** OUT/<kind>.html, .json and .csv. */
export async function writeReport(report: Report, { out, pictureOf, csv }: ReportFilesOptions): Promise<string[]> {
  await makeFolder(out);
  const files: [string, string][] = [
    [join(out, `${report.kind}.html`), await reportHtml(report, pictureOf)],
    [join(out, `${report.kind}.json`), `${toJson(report, 1)}\n`],
    [join(out, `${report.kind}.csv`), csvText(csv)],
  ];
  for (const [path, text] of files) await writeFileAtomic(path, text);
  return files.map(([path]) => path);
}

/** RFC 4180. */
export function csvText(rows: CsvRows): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const field = (value: unknown): string => {
    const text = value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return `${lines.map((line) => line.map(field).join(',')).join('\r\n')}\r\n`;
}

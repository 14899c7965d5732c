/** CSV as RFC 4180 has it, with the line and column of every field. Line ends may be LF, CRLF or CR. */
import type { Place } from '@diffusion-soup/core';

export interface CsvField extends Place {
  readonly text: string;
}

export class CsvError extends Error {
  constructor(
    readonly place: Place,
    message: string,
  ) {
    super(message);
  }
}

/** The records that are not empty lines. */
export function readCsv(text: string): CsvField[][] {
  const records: CsvField[][] = [];
  let record: CsvField[] = [];
  let [at, line, lineStart] = [text.charCodeAt(0) === 0xfeff ? 1 : 0, 1, 0];
  const place = (): Place => ({ line, column: at - lineStart + 1 });
  const endLine = () => {
    at += text.startsWith('\r\n', at) ? 2 : 1;
    line++;
    lineStart = at;
  };
  const quoted = (): string => {
    const from = place();
    let value = '';
    for (at++; at < text.length; ) {
      if (text[at] === '"') {
        if (text[at + 1] !== '"') {
          at++;
          if (at < text.length && !/[,\r\n]/.test(text[at]!)) {
            throw new CsvError(place(), 'after a closing quote there must be a comma; write a quote within as ""');
          }
          return value;
        }
        value += '"';
        at += 2;
      } else if (text[at] === '\n' || text[at] === '\r') {
        value += '\n';
        endLine();
      } else value += text[at++];
    }
    throw new CsvError(from, 'this quote is never closed');
  };
  const bare = (): string => {
    const begin = at;
    while (at < text.length && !/[,\r\n]/.test(text[at]!)) {
      if (text[at] === '"') throw new CsvError(place(), 'a quote within a field; put the whole field in quotes');
      at++;
    }
    return text.slice(begin, at);
  };
  while (at < text.length) {
    const where = place();
    record.push({ ...where, text: text[at] === '"' ? quoted() : bare() });
    if (text[at] === ',') {
      at++;
      if (at === text.length) record.push({ ...place(), text: '' });
      else if (/[\r\n]/.test(text[at]!)) record.push({ ...place(), text: '' });
      else continue;
    }
    if (record.length > 1 || record[0]!.text !== '') records.push(record);
    record = [];
    if (at < text.length) endLine();
  }
  return records;
}

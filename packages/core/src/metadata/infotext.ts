/**
 * The `parameters` text that AUTOMATIC1111's web UI puts into its pictures and that most viewers can read:
 *
 *   the prompt, of one line or several
 *   Negative prompt: what should not be there
 *   Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, Model: "a, b"
 *
 * A reader takes the last line for the settings, whatever the prompt looks like, and the first line that starts with
 * "Negative prompt:" for the end of the prompt.
 */

export interface Infotext {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** In order of writing. A reader wants at least three, or it takes the line for a part of the prompt. */
  readonly settings: ReadonlyMap<string, string>;
}

/** What every picture has; more may follow, as `Model`, `Model hash` and `Version`. Undefined ones are left out. */
export interface PictureSettings {
  readonly Steps: number;
  readonly Sampler: string;
  readonly 'CFG scale': number;
  readonly Seed: number | bigint | string;
  readonly Size: string;
  readonly [name: string]: string | number | bigint | undefined;
}

const NEGATIVE = 'Negative prompt:';
const SETTING_NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_ \-/]+$/u;
const FEWEST_SETTINGS = 3;

export function writeInfotext(prompt: string, negativePrompt: string, settings: PictureSettings): string {
  const pairs = Object.entries(settings).flatMap(([name, value]) => {
    if (value === undefined || value === '') return [];
    if (!SETTING_NAME.test(name)) throw new RangeError(`${JSON.stringify(name)} cannot be the name of a setting`);
    return [`${name}: ${quote(String(value))}`];
  });
  const negative = negativePrompt.trim() === '' ? [] : [`${NEGATIVE} ${disarm(negativePrompt)}`];
  return [disarm(prompt), ...negative, pairs.join(', ')].join('\n').trim();
}

/** JSON where a bare value could be taken for two. */
function quote(value: string): string {
  return /[,:\n\r\u2028\u2029]|^["\s]|\s$/.test(value) ? JSON.stringify(value) : value;
}

/**
 * A line of a prompt that starts with "Negative prompt:" would end the prompt for every reader. A space before the
 * colon prevents that, and CLIP's tokenizer does not see it.
 */
function disarm(prompt: string): string {
  return prompt.replace(/\r\n?/g, '\n').replace(/^(\s*Negative prompt):/gm, '$1 :');
}

export function parseInfotext(text: string): Infotext {
  const lines = text.trim().split(/\r\n|\n/);
  let settings = parseSettings(lines.at(-1) ?? '');
  if (settings.size < FEWEST_SETTINGS) settings = new Map();
  else lines.pop();

  const found = lines.findIndex((line) => line.trim().startsWith(NEGATIVE));
  const cut = found < 0 ? lines.length : found;
  const negative = lines.slice(cut).map((line) => line.trim());
  if (negative.length > 0) negative[0] = negative[0].slice(NEGATIVE.length).trim();
  return {
    prompt: lines
      .slice(0, cut)
      .map((line) => line.trim())
      .join('\n'),
    negativePrompt: negative.join('\n'),
    settings,
  };
}

/**
 * "Name: value, Name: "quoted value"". Read by hand, because the regular expression that is in use for it takes
 * quadratic time on a hostile line.
 */
function parseSettings(line: string): Map<string, string> {
  const settings = new Map<string, string>();
  let at = 0;
  while (at < line.length) {
    const colon = line.indexOf(':', at);
    if (colon < 0) break;
    // What stands before the last comma belongs to no setting.
    const name = line.slice(Math.max(at, line.lastIndexOf(',', colon - 1) + 1), colon).trim();
    const start = colon + 1 + (line.slice(colon + 1, colon + 65).match(/^\s*/)?.[0].length ?? 0);
    const quoted = quotedEnd(line, start);
    const comma = line.indexOf(',', quoted ?? start);
    const end = quoted ?? (comma < 0 ? line.length : comma);
    const value = line.slice(start, end);
    if (SETTING_NAME.test(name)) settings.set(name, quoted === undefined ? value.trim() : unquote(value));
    at = comma < 0 ? line.length : comma + 1;
  }
  return settings;
}

/** Where the quoted value that starts here ends, if one does: a quote, then a comma or the end of the line. */
function quotedEnd(line: string, start: number): number | undefined {
  if (line[start] !== '"') return undefined;
  for (let i = start + 1; i < line.length; i++) {
    if (line[i] === '\\') i++;
    else if (line[i] === '"') return i > start + 1 && /^\s*(,|$)/.test(line.slice(i + 1, i + 17)) ? i + 1 : undefined;
  }
  return undefined;
}

function unquote(value: string): string {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'string' ? parsed : value;
  } catch {
    return value;
  }
}

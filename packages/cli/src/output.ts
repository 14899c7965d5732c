/**
 * What the command line says, and where: results for people or one JSON document on stdout, everything else on
 * stderr. Of a long task there is one live line on a terminal, and an occasional plain line elsewhere.
 */
import { toJson } from '@diffusion-soup/core';
import { createStyle, type Style } from './style.js';
import { printableLines } from './text.js';

export interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The world of one run of the command line. */
export interface Io {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the user wants to stop; its reason is the name of the signal. */
  readonly signal: AbortSignal;
}

export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color?: boolean;
}

export interface Output {
  readonly io: Io;
  readonly isJson: boolean;
  /** Colours for stdout. */
  readonly style: Style;
  /** A result, for people. */
  print(text?: string): void;
  /** Bytes of a terminal picture: like print, but as they are. */
  show(raw: string): void;
  /** The result, for programs. */
  result(value: unknown): void;
  /** Good to know. */
  note(text: string): void;
  /** Should be known; collected for the JSON result as well. */
  warn(text: string): void;
  readonly warnings: readonly string[];
  /** What went wrong; said even when quiet. */
  error(text: string): void;
  /** Where a long task stands. `picture` is shown above the line on a terminal, and replaced by the next. */
  status(text: string, picture?: string): void;
  /** Ends the live line: it is wiped, or left to stand as `text`. */
  endStatus(text?: string): void;
}

const LIVE_INTERVAL_MS = 80;
const PLAIN_INTERVAL_MS = 10_000;

export function createOutput(io: Io, { json = false, quiet = false, color = true }: OutputOptions = {}): Output {
  const { stdout, stderr } = io;
  const isLive = stderr.isTTY === true && io.env.TERM !== 'dumb';
  const warnings: string[] = [];
  let liveLines = 0; // on the screen now
  let last = Number.NEGATIVE_INFINITY;
  if (!isLive) last = performance.now();

  const wipe = () => {
    if (liveLines > 0) stderr.write(`\r${liveLines > 1 ? `\x1b[${liveLines - 1}A` : ''}\x1b[J`);
    liveLines = 0;
  };
  const say = (text: string) => {
    wipe();
    stderr.write(`${printableLines(text)}\n`);
  };
  const out = (text: string) => {
    wipe();
    stdout.write(text);
  };

  return {
    io,
    isJson: json,
    style: createStyle(color ? stdout : {}, io.env),
    warnings,
    print(text = '') {
      if (!json) out(`${text}\n`);
    },
    show(raw) {
      if (!json) out(`${raw}\n`);
    },
    result(value) {
      if (json) out(`${toJson(value)}\n`);
    },
    note(text) {
      if (!quiet) say(text);
    },
    warn(text) {
      warnings.push(text);
      say(`soup: warning: ${text}`);
    },
    error(text) {
      say(`soup: ${text}`);
    },
    status(text, picture) {
      if (quiet) return;
      const now = performance.now();
      if (now - last < (isLive ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS) && !picture) return;
      last = now;
      if (!isLive) {
        stderr.write(`${text}\n`);
        return;
      }
      wipe();
      const lines = [...(picture ? picture.split('\n') : []), text.slice(0, (stderr.columns || 80) - 1)];
      stderr.write(lines.join('\n'));
      liveLines = lines.length;
    },
    endStatus(text) {
      if (quiet) return;
      if (text === undefined) wipe();
      else say(text);
    },
  };
}

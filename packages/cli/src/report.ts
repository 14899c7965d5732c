/** Errors as the user sees them: one message without a stack, an exit code, and the same as JSON. */
import { DiskError, SoupError, toJson, UsageError } from '@diffusion-soup/core';
import { CommanderError } from 'commander';
import { diskError } from './atomic-file.js';
import type { Io } from './output.js';
import { printableLines } from './text.js';

/** Some of what was asked for is done, and kept; then came an error. */
export class PartialError extends SoupError {
  override name = 'PartialError';
  override readonly exitCode = 9;
}

export interface ReportOptions {
  readonly json: boolean;
  readonly debug: boolean;
}

const EXIT_CODES: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** Of a command that was ended by a signal. */
export const exitCodeOf = ({ reason }: AbortSignal): number => EXIT_CODES[String(reason)] ?? 130;

/** Tells the user what went wrong, and returns the exit code. */
export function report(thrown: unknown, io: Io, { json, debug }: ReportOptions): number {
  const error = understood(thrown);
  const stopped = io.signal.aborted ? exitCodeOf(io.signal) : undefined;
  const exitCode = stopped ?? (error instanceof SoupError ? error.exitCode : 1);
  const message = error instanceof Error ? error.message : String(error);

  if (stopped !== undefined) say(io, 'soup: stopped; nothing half-finished was left behind');
  else if (error instanceof SoupError) say(io, `soup: ${message}`);
  else {
    say(
      io,
      `soup: internal error: ${message}\n` +
        'This is a mistake in Diffusion Soup. Please report it, with the command that you ran, what it says with\n' +
        '--debug, and the output of "soup doctor".',
    );
  }
  if (debug && error instanceof Error && stopped === undefined) say(io, stackOf(error));
  if (json) {
    const name = stopped !== undefined ? 'CancelledError' : error instanceof Error ? error.name : 'Error';
    const facts = error instanceof SoupError ? error.facts : {};
    io.stdout.write(`${toJson({ error: { name, message, exitCode, facts } })}\n`);
  }
  return exitCode;
}

/** Errors of the system and of commander as errors of ours. */
export function understood(thrown: unknown): unknown {
  if (thrown instanceof CommanderError) {
    const message = thrown.message.replace(/^error: /, '').replace(/\n\(/, ' (');
    return new UsageError(`${message}\nSee "soup --help", or "soup COMMAND --help".`, { code: thrown.code });
  }
  if (thrown instanceof Error && !(thrown instanceof SoupError) && 'syscall' in thrown && 'code' in thrown) {
    const path = 'path' in thrown ? String(thrown.path) : 'a file';
    const found = diskError(path, thrown, String(thrown.syscall) === 'read' ? 'read' : 'write');
    return found instanceof DiskError ? found : thrown;
  }
  return thrown;
}

const say = (io: Io, text: string): void => void io.stderr.write(`${printableLines(text)}\n`);

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}

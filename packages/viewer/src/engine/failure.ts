/** What went wrong, as one sentence for the page, with what to do about it. */
import {
  CheckpointError,
  ConfigError,
  DeviceError,
  DiskError,
  formatBytes,
  IncompatibleError,
  MemoryError,
  printable,
  SoupError,
  UsageError,
} from '@diffusion-soup/core';
import type { FailureKind } from '../messages.js';

export interface Told {
  readonly kind: FailureKind;
  readonly sentence: string;
  readonly remedy: string;
}

/** A failure that knows what to tell. */
export class Failure extends Error implements Told {
  override name = 'Failure';

  constructor(
    readonly kind: FailureKind,
    readonly sentence: string,
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    super(sentence, options);
  }
}

const LESS = 'Draw a smaller picture or use fewer models, close what else uses the graphics card, then try again.';
export const GO_ON = 'Nothing of the page is lost: go on, and the models are loaded again.';

const REMEDIES: Readonly<Record<FailureKind, string>> = {
  'no-webgpu': 'Use a current Chrome, Edge, Firefox or Safari.',
  'no-adapter': 'Switch on hardware acceleration in the browser, or install the driver of the graphics card.',
  limits: 'Draw a smaller picture or use a smaller model.',
  'device-lost': GO_ON,
  'out-of-memory': LESS,
  quota: 'Clear the cache of models, or make room on the disk, then try again.',
  offline: 'Check the connection and the address, then try again.',
  'bad-file': 'Use another copy of the file.',
  incompatible: 'Switch off the model that does not go with the others.',
  'bad-input': 'Change it and try again.',
  disk: 'Check that the file is still there and may be read and written, then try again.',
  internal: 'Try again; reload the page when it happens again.',
};

/** Long enough for a path and two shapes. */
const LONGEST = 600;

export function failureOf(error: unknown): Told {
  if (error instanceof Failure) return told(error.kind, error.sentence, error.remedy);
  const name = quotaOrAccess(error);
  if (name === 'QuotaExceededError') return told('quota', 'The browser does not let this page store more.');
  if (error instanceof MemoryError) return outOfBudget(error);
  if (error instanceof DeviceError) return ofDevice(error);
  if (error instanceof DiskError) {
    const isOffline = 'status' in error.facts || /https?:\/\//.test(error.message);
    return spoken(isOffline ? 'offline' : 'disk', error);
  }
  if (error instanceof UsageError) return spoken('bad-input', error);
  if (error instanceof IncompatibleError) return spoken('incompatible', error);
  if (error instanceof CheckpointError || error instanceof ConfigError) return spoken('bad-file', error);
  if (name === 'NotAllowedError') return told('disk', 'The browser may not use this file or folder any more.');
  if (name === 'NotFoundError' || name === 'NotReadableError') {
    return told('disk', 'A file is not where it was, or has changed since it was opened.', 'Open it again.');
  }
  // What V8 and others say when an ArrayBuffer or a mapped buffer cannot be had.
  if (error instanceof RangeError && /alloca|memory|mapp/i.test(error.message)) {
    return told('out-of-memory', 'The browser has no more memory for this page.');
  }
  const words = error instanceof Error ? error.message : String(error);
  return told('internal', error instanceof SoupError ? words : `Something went wrong in the engine: ${words}`);
}

/** A loss that is seen at the device itself, whatever the work ran into because of it. */
export const lostDevice = (why: string, cause?: unknown): Failure =>
  new Failure('device-lost', `The browser lost the graphics card${why ? `: ${why}` : ''}`, GO_ON, { cause });

function ofDevice(error: DeviceError): Told {
  const { doing, label, size, limit, reason } = error.facts;
  const during = typeof doing === 'string' ? ` while ${doing}` : '';
  switch (error.failure) {
    case 'lost':
      return told('device-lost', `The browser lost the graphics card${during}${reason ? ` (${reason})` : ''}.`);
    case 'out-of-memory':
      return told('out-of-memory', `The graphics card ran out of memory${during}.`);
    case 'limit':
      return told(
        'limits',
        `${label} needs ${formatBytes(Number(size))} at once; this graphics card, or the browser, allows ` +
          `${formatBytes(Number(limit))}.`,
      );
    default:
      return told('internal', error.message);
  }
}

function outOfBudget({ facts, message }: MemoryError): Told {
  const [needed, used, budget] = [facts.needed, facts.used, facts.budget].map(Number) as [number, number, number];
  if (![needed, used, budget].every(Number.isFinite)) return told('out-of-memory', firstSentence(message)[0]);
  return told(
    'out-of-memory',
    `This needs ${formatBytes(needed)} more of GPU memory, but ${formatBytes(used)} of ${formatBytes(budget)} are in use.`,
  );
}

/** Errors say what was found, then what to do; what to do with flags of the command line is not for a page. */
function spoken(kind: FailureKind, { message }: SoupError): Told {
  const [found, advice] = firstSentence(message);
  return told(kind, found, advice && !/ --?\w|\bcommand\b|"soup /.test(` ${advice}`) ? advice : undefined);
}

function firstSentence(message: string): [string, string | undefined] {
  const [, found, advice] = /^(.+?[^.\s]{2}\.)\s+(\p{Lu}.*)$/su.exec(message) ?? [];
  return found === undefined ? [message, undefined] : [found, advice];
}

const told = (kind: FailureKind, sentence: string, remedy = REMEDIES[kind]): Told => ({
  kind,
  sentence: ended(printable(sentence.trim(), LONGEST)),
  remedy: ended(printable(remedy.trim(), LONGEST)),
});

const ended = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** The DOMException's name, of the error or of what it was caused by. */
function quotaOrAccess(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (/^(QuotaExceeded|NotAllowed|NotFound|NotReadable)Error$/.test(at.name)) return at.name;
  }
  return undefined;
}

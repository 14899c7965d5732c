/**
 * Every error a user can cause or meet, one class per cause.
 * A message says what was found, what was expected, where, and what to do; the facts are fields too.
 * `exitCode` is what the command line returns for it.
 */

export type ErrorFacts = Readonly<Record<string, unknown>>;

export class SoupError extends Error {
  override name = 'SoupError';
  readonly exitCode: number = 1;
  readonly facts: ErrorFacts;

  constructor(message: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(message, options);
    this.facts = facts;
  }
}

/** The command was asked for something that has no meaning: a bad flag, size, weight or sampler name. */
export class UsageError extends SoupError {
  override name = 'UsageError';
  override readonly exitCode = 2;
}

/** A file is damaged, hostile or not what its name says. Facts: file, tensor, byte. Trying again cannot help. */
export class CheckpointError extends SoupError {
  override name = 'CheckpointError';
  override readonly exitCode = 3;
}

/** A config asks for something that this engine does not implement, or is malformed. Facts: file, key, found. */
export class ConfigError extends SoupError {
  override name = 'ConfigError';
  override readonly exitCode = 3;
}

/** Two things that are fine alone do not fit together: ingredients of other shapes, a tensor of the wrong shape. */
export class IncompatibleError extends SoupError {
  override name = 'IncompatibleError';
  override readonly exitCode = 4;
}

/** There is no GPU adapter, or it lacks something that was demanded. */
export class AdapterError extends SoupError {
  override name = 'AdapterError';
  override readonly exitCode = 5;
}

/** What a device did: it went away, had not enough memory, allows no such buffer, or found fault with a command. */
export type DeviceFailure = 'lost' | 'out-of-memory' | 'limit' | 'refused';

/** The device was lost, ran out of memory, or refused a command. Facts: failure, doing; size and limit in bytes. */
export class DeviceError extends SoupError {
  override name = 'DeviceError';
  override readonly exitCode = 6;

  get failure(): DeviceFailure {
    return (this.facts.failure as DeviceFailure | undefined) ?? 'refused';
  }
}

/** The work would pass the memory budget. Facts: needed, used, budget, in bytes. */
export class MemoryError extends SoupError {
  override name = 'MemoryError';
  override readonly exitCode = 6;
}

/** A shader does not compile or a pipeline cannot be made: always our mistake or the driver's. */
export class ShaderError extends SoupError {
  override name = 'ShaderError';
  override readonly exitCode = 1;
}

/** A file could not be read or written. */
export class DiskError extends SoupError {
  override name = 'DiskError';
  override readonly exitCode = 8;
}

/** The work was stopped on request. */
export class CancelledError extends SoupError {
  override name = 'CancelledError';
  override readonly exitCode = 130;
}

/** For long work, between its parts: a CancelledError once its signal has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError('stopped on request', {}, { cause: signal.reason });
}

/**
 * What the screen asks of the engine, and what it is told. The engine is another process: a driver that crashes or a
 * thread that is busy leaves the terminal alone. So everything here is plain data.
 */
import type { Image, Precision } from '@diffusion-soup/core';
import type { PictureSettings } from '../state/picture.js';

/** A shard with its part in a soup. */
export interface Portion {
  readonly id: string;
  readonly weight: number;
  readonly blocks?: Readonly<Record<string, number>>;
  /** The content hash that it must have. */
  readonly root?: string;
}

export interface Soup {
  readonly portions: readonly Portion[];
  /** Where parts come from that no portion has; found by itself when it is not named. */
  readonly base?: string;
}

/** One picture to draw. */
export interface Job {
  /** Equal for equal pictures. */
  readonly key: string;
  readonly soup: Soup;
  readonly picture: PictureSettings;
  /** A sketch has few steps, and is drawn while things are still being turned. */
  readonly effort: 'sketch' | 'full';
}

/** Pictures in the order in which they are wanted. The newest order replaces the one before it. */
export interface Order {
  readonly jobs: readonly Job[];
  /** Waited before a full picture that follows a sketch: by then the user may have turned on. */
  readonly restMs: number;
}

/** Something that is written, which a turned slider does not cancel. */
export type KeepTask =
  /** The soup as a new checkpoint. */
  | { readonly type: 'merge'; readonly soup: Soup; readonly folder: string }
  /** A shard into a soup that has a ledger, or out of it. */
  | { readonly type: 'add'; readonly shard: Portion; readonly folder: string }
  | { readonly type: 'remove'; readonly shard: Portion; readonly folder: string };

export type Command =
  | { readonly type: 'order'; readonly order: Order }
  | { readonly type: 'stop' }
  | { readonly type: 'inspect'; readonly ids: readonly string[]; readonly against: readonly string[] }
  | { readonly type: 'keep'; readonly task: KeepTask };

export interface Machine {
  readonly adapter: string;
  readonly precision: Precision;
}

export type Phase = 'opening' | 'loading' | 'blending' | 'drawing' | 'decoding' | 'writing';

export interface Work {
  readonly phase: Phase;
  readonly effort?: Job['effort'];
  /** Steps, or bytes. */
  readonly done: number;
  readonly total: number;
  /** What bytes are of: "UNet". */
  readonly part?: string;
  /** What a command says itself of where it stands; `done` and `total` are its percents then. */
  readonly words?: string;
  /** What waits for its turn. */
  readonly queue: number;
}

export interface Drawn {
  readonly key: string;
  readonly effort: Job['effort'];
  readonly image: Image;
  /** Where it lies, with its metadata. */
  readonly path: string;
  readonly seconds: number;
}

/** What is known of a model without loading it. */
export interface Inspected {
  readonly id: string;
  /** Why it does not go with the models that are in the soup. */
  readonly problem?: string;
}

export interface Kept {
  /** What was done, in a word or two. */
  readonly what: string;
  readonly path: string;
  /** Of the soup's content: equal for equal weights. */
  readonly root?: string;
  /** Of a shard that was removed. */
  readonly receipt?: string;
}

export type EngineEvent =
  | { readonly type: 'machine'; readonly machine: Machine }
  | { readonly type: 'memory'; readonly used: number; readonly budget: number }
  | { readonly type: 'speed'; readonly secondsPerStep: number }
  | { readonly type: 'work'; readonly work: Work }
  | { readonly type: 'idle' }
  | { readonly type: 'picture'; readonly picture: Drawn }
  | { readonly type: 'blocks'; readonly names: readonly string[]; readonly presets: Presets }
  | { readonly type: 'inspected'; readonly found: readonly Inspected[] }
  | { readonly type: 'kept'; readonly kept: Kept }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'stopped' }
  /** Its process is no more. */
  | { readonly type: 'ended' };

/** Factors by block, by the preset's name. */
export type Presets = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The screen's side of the engine. */
export interface Engine {
  send(command: Command): void;
  /** Ends it: what it does it may finish for so long, by default for a moment. */
  close(graceMs?: number): Promise<void>;
}

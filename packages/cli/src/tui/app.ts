/**
 * The application without a screen: keys and the engine's events go in, states come out; and what a state asks for is
 * ordered from the engine, saved or copied.
 */
import { resolve } from 'node:path';
import { SoupError } from '@diffusion-soup/core';
import { printable } from '../text.js';
import { commandOf } from './command-line.js';
import { jobsFor, soupOf } from './engine/jobs.js';
import type { Engine, EngineEvent, Job, Order } from './engine/protocol.js';
import { saveDrawn, saveRecipe, suggestion } from './keep.js';
import { type Meaning, meaningOf, type Press } from './keys.js';
import { type Action, reduce } from './state/reducer.js';
import { isUsed } from './state/soup.js';
import { pictureOf, type State, shardAt, shownOf, wantedOf } from './state/state.js';

export interface World {
  /** A new engine; the one before it has ended. */
  startEngine(onEvent: (event: EngineEvent) => void): Engine;
  /** Undefined when it is too long for a clipboard. */
  copy(text: string): boolean;
  remember(prompts: readonly string[]): void;
  quit(): void;
  log(...what: readonly unknown[]): void;
  /** Without a key, after which a change is complete. */
  readonly restMs: number;
  /** For work to stop by itself. */
  readonly patienceMs: number;
}

export class App {
  #state: State;
  #engine: Engine | undefined;
  #ordered = '';
  #inspected = '';
  #rest: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(
    begin: State,
    private readonly world: World,
  ) {
    this.#state = begin;
  }

  get state(): State {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    this.#startEngine();
    this.#follow();
  }

  #startEngine(): void {
    if (this.#engine) return;
    // An engine that was given up may still have something to say.
    const engine = this.world.startEngine((event) => {
      if (this.#engine === engine) this.#happened(event);
    });
    this.#engine = engine;
  }

  async close(): Promise<void> {
    clearTimeout(this.#rest);
    clearTimeout(this.#patience);
    await this.#engine?.close();
  }

  dispatch(action: Action): void {
    const before = this.#state;
    this.#state = reduce(before, action);
    if (this.#state === before) return;
    if (this.#state.prompts !== before.prompts) this.world.remember(this.#state.prompts);
    if (this.#state.doc !== before.doc) this.#settle();
    this.#follow();
    for (const listener of this.#listeners) listener();
  }

  press(press: Press): void {
    const meaning = meaningOf(this.#state, press);
    if (meaning?.type !== 'interrupt' && this.#state.isLeaving) this.dispatch({ type: 'leave', armed: false });
    if (meaning) this.#mean(meaning);
  }

  #mean(meaning: Meaning): void {
    switch (meaning.type) {
      case 'quit':
        this.world.quit();
        break;
      case 'interrupt':
        this.#interrupt();
        break;
      case 'copy':
        this.#copy();
        break;
      case 'submit':
        this.#submit();
        break;
      case 'redraw':
        this.#ordered = '';
        this.#startEngine();
        this.dispatch(meaning);
        this.#follow(true);
        break;
      case 'edit':
        this.dispatch(this.#withSuggestion(meaning));
        break;
      default:
        this.dispatch(meaning);
    }
  }

  /** The first one stops the work, the second one quits. */
  #interrupt(): void {
    if (this.#state.isLeaving) {
      this.world.quit();
      return;
    }
    this.dispatch({ type: 'stop' });
    this.#engine?.send({ type: 'stop' });
    this.dispatch({ type: 'leave', armed: true });
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#giveUp(), this.world.patienceMs);
  }

  /** A step may take long on a slow GPU: then its engine is given up for a new one, but for what is being written. */
  #giveUp(): void {
    if (!this.#state.work || this.#state.work.phase === 'writing') return;
    void this.#engine?.close(0);
    this.#engine = undefined;
    this.#inspected = '';
    this.dispatch({ type: 'engine', event: { type: 'ended' } });
    this.dispatch({ type: 'engine', event: { type: 'stopped' } });
    this.#startEngine();
  }

  #happened(event: EngineEvent): void {
    if (event.type === 'failed' || event.type === 'warning') this.world.log(event.type, event.message);
    if (event.type === 'ended') {
      this.#engine = undefined;
      this.#inspected = '';
    }
    this.dispatch({ type: 'engine', event });
  }

  /** Orders what the state wants and has not got. */
  #follow(isAsked = false): void {
    if (!this.#engine) return;
    this.#inspect();
    const wanted = this.#wanted();
    if (wanted.name === this.#ordered) return; // also while paused: it was asked for
    const { name, order } = isAsked || !this.#state.isPaused ? wanted : NOTHING;
    if (name === this.#ordered) return;
    this.#ordered = name;
    this.#engine.send({ type: 'order', order });
  }

  /** Of a sheet all that is missing; else the picture, unless there is one or the user stopped it. */
  #wanted(): { readonly name: string; readonly order: Order } {
    const { doc, sheet, stopped, screen } = this.#state;
    const { picture } = doc.present;
    const isThere = ({ key }: Job) => pictureOf(this.#state, key) !== undefined;
    if (sheet && screen === 'compare') {
      const all = sheet.cells.flatMap(({ shards }) => wantedOf({ ...doc.present, shards })?.full ?? []);
      const jobs = uniqueJobs(all).filter((job) => !isThere(job));
      // What is done is part of the name: an order is not given anew for every picture that comes.
      return jobs.length > 0 ? { name: all.map(({ key }) => key).join(' '), order: { jobs, restMs: 0 } } : NOTHING;
    }
    const full = wantedOf(doc.present)?.full;
    if (!full || full.key === stopped || isThere(full)) return NOTHING;
    return { name: full.key, order: { jobs: jobsFor(full.soup, picture), restMs: this.world.restMs } };
  }

  /** Whatever goes on when no key comes for a while is done with: the next turn is undone by itself. */
  #settle(): void {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.dispatch({ type: 'rest' }), this.world.restMs);
  }

  /** Shards are looked at again whenever others are in the soup: they must go with those. */
  #inspect(): void {
    const { shards } = this.#state.doc.present;
    const ids = shards.map(({ id }) => id);
    const against = shards.filter(isUsed).map(({ id }) => id);
    const name = JSON.stringify([ids, against[0]]);
    if (name === this.#inspected || ids.length === 0) return;
    this.#inspected = name;
    this.#engine?.send({ type: 'inspect', ids, against });
  }

  #copy(): void {
    const command = commandOf(this.#state.doc.present);
    const text = this.world.copy(command) ? `copied: ${command}` : command;
    this.dispatch({ type: 'notice', notice: { kind: 'note', text } });
  }

  #withSuggestion(action: Extract<Action, { type: 'edit' }>): Action {
    const { target } = action;
    const { kept, doc } = this.#state;
    if (target === 'recipe' || target === 'checkpoint' || target === 'picture') {
      return { ...action, text: suggestion(target, doc.present) };
    }
    // The soup that was made last is the one that is likely to be changed.
    const soup = kept.findLast(({ root }) => root !== undefined)?.path ?? '';
    return target === 'add' || target === 'remove' ? { ...action, text: soup } : action;
  }

  #submit(): void {
    const { editing } = this.#state;
    this.dispatch({ type: 'submit' });
    if (!editing) return;
    const path = editing.line.text.trim();
    if (path === '') return;
    if (editing.target === 'shard') this.dispatch({ type: 'add', id: path });
    else if (editing.target === 'recipe') void this.#save(saveRecipe(path, this.#state.doc.present));
    else if (editing.target === 'picture') this.#savePicture(path);
    else if (editing.target === 'checkpoint') this.#saveCheckpoint(path);
    else if (editing.target === 'add' || editing.target === 'remove') this.#changeSoup(editing.target, path);
  }

  #saveCheckpoint(path: string): void {
    const { shards, base } = this.#state.doc.present;
    const soup = soupOf(shards, base);
    if (soup) this.#engine?.send({ type: 'keep', task: { type: 'merge', soup, folder: resolve(path) } });
    else this.#complain('there is nothing in the soup yet: put a shard in first');
  }

  #changeSoup(type: 'add' | 'remove', path: string): void {
    const shard = shardAt(this.#state);
    if (shard) this.#engine?.send({ type: 'keep', task: { type, shard, folder: resolve(path) } });
    else this.#complain('Tab chooses a shard first');
  }

  #savePicture(path: string): void {
    const shown = shownOf(this.#state);
    if (shown?.isCurrent) void this.#save(saveDrawn(path, shown.picture));
    else this.#complain('the picture of this soup is not drawn yet: wait for it, or press r');
  }

  async #save(saving: Promise<string>): Promise<void> {
    try {
      const path = await saving;
      this.dispatch({ type: 'saved', path });
      this.dispatch({ type: 'notice', notice: { kind: 'note', text: `saved ${path}` } });
    } catch (error) {
      if (!(error instanceof SoupError)) this.world.log(error);
      this.#complain(error instanceof Error ? error.message : String(error));
    }
  }

  #complain(text: string): void {
    this.dispatch({ type: 'notice', notice: { kind: 'problem', text: printable(text) } });
  }
}

/** An order for nothing ends the work on what is no longer wanted. */
const NOTHING = { name: '', order: { jobs: [], restMs: 0 } } as const;

const uniqueJobs = (jobs: readonly Job[]): Job[] => [...new Map(jobs.map((job) => [job.key, job])).values()];

/** The application on a real terminal: its modes, its signals, its log, and what has to be undone at the end. */
import { EventEmitter } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { render, useInput } from 'ink';
import { writeFileAtomic } from '../atomic-file.js';
import { pictureMode } from '../image/terminal-picture.js';
import { App } from './app.js';
import { askForSixel } from './ask-terminal.js';
import { clipboardText } from './clipboard.js';
import { startEngine } from './engine/client.js';
import { createInput } from './input.js';
import { openLog, stateFolder } from './log.js';
import { forgetOldPictures } from './pictures-folder.js';
import { DELETE_KITTY_PICTURES, placementsOf } from './placements.js';
import { createLinearPainter, createPainter, type Painter } from './screen.js';
import { type Doc, initialState } from './state/state.js';
import { enterTerminal, isLinear } from './terminal.js';
import { type AppProps, App as AppView } from './views/App.js';
import { type Theme, themeOf } from './views/theme.js';

export interface Launch extends Pick<Doc, 'shards' | 'base'> {
  readonly env: NodeJS.ProcessEnv;
  /** Aborted by a signal of the system, whose name is the reason. */
  readonly signal: AbortSignal;
}

const FRAME_MS = 33;
const REST_MS = 400;
const PATIENCE_MS = 800;
const MOST_PROMPTS_BYTES = 1_000_000;

/** Runs until the user leaves; the exit code. */
export async function launch({ env, signal, ...begin }: Launch): Promise<number> {
  const { stdin, stdout } = process;
  const log = openLog(env);
  const linear = isLinear(env);
  const modes = enterTerminal({ stdin, stdout, isLinear: linear });
  const restoreConsole = toLog(log.write);
  const folder = join(stateFolder(env), 'pictures');
  mkdirSync(folder, { recursive: true });
  const history = join(stateFolder(env), 'prompts.json');
  const { promise: left, resolve: leave } = deferred<number>();
  const size = () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 });

  const path = log.path === undefined ? {} : { log: log.path };
  const app = new App(initialState({ ...begin, size: size(), prompts: readPrompts(history), ...path }), {
    startEngine: (onEvent) => startEngine({ folder, log: log.file, onEvent }),
    copy(text) {
      const sequence = clipboardText(text, env);
      if (sequence) stdout.write(sequence);
      return sequence !== undefined;
    },
    remember(prompts) {
      writeFileAtomic(history, `${JSON.stringify(prompts)}\n`).catch(log.write);
    },
    quit: () => leave(0),
    log: log.write,
    restMs: REST_MS,
    patienceMs: PATIENCE_MS,
  });
  const write = (text: string) => void stdout.write(text);
  const mode = linear ? 'none' : await askForSixel(pictureMode(stdout, env), env, stdin, write);
  const painter: Painter = linear
    ? createLinearPainter(write)
    : createPainter({
        write,
        rows: () => size().rows,
        ...(mode === 'kitty' && { deletePictures: DELETE_KITTY_PICTURES }),
      });
  const view = show(app, painter, themeOf(env, mode, linear), { linear, onBroken: (error) => broken(error) });

  const resized = () => {
    painter.forget();
    app.dispatch({ type: 'resize', ...size() });
    view.refresh();
  };
  const signalled = () => leave(SIGNAL_CODES[String(signal.reason)] ?? 130);
  const hungUp = () => leave(SIGNAL_CODES.SIGHUP);
  const broken = (error: unknown) => {
    log.write(error);
    modes.leave();
    restoreConsole();
    process.stderr.write(`soup: internal error: ${error instanceof Error ? error.message : error}\n`);
    if (log.path) process.stderr.write(`The log has more: ${log.path}\n`);
    process.exit(1);
  };
  stdout.on('resize', resized);
  stdin.on('end', hungUp);
  signal.addEventListener('abort', signalled);
  process.on('uncaughtException', broken);
  process.on('unhandledRejection', broken);
  try {
    app.start();
    forgetOldPictures(folder).catch(log.write);
    if (signal.aborted) signalled();
    return await left;
  } finally {
    stdout.off('resize', resized);
    stdin.off('end', hungUp);
    signal.removeEventListener('abort', signalled);
    view.end();
    modes.leave();
    restoreConsole();
    await app.close();
    process.off('uncaughtException', broken);
    process.off('unhandledRejection', broken);
    log.close();
  }
}

const SIGNAL_CODES: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

interface ShowOptions {
  readonly linear: boolean;
  readonly onBroken: (error: unknown) => void;
}

/** Ink lays out and reads the keys; the frames it makes are put on the terminal by the painter. */
function show(app: App, painter: Painter, theme: Theme, { linear, onBroken }: ShowOptions) {
  const frames = new FrameStream((frame) =>
    painter.paint(theme.spelled(frame), placementsOf(app.state, theme.pictures)),
  );
  frames.columns = app.state.size.columns;
  const onInput = createInput((press) => app.press(press));
  const root = () => <Root state={app.state} theme={theme} onInput={onInput} />;
  const instance = render(root(), {
    stdout: frames as unknown as NodeJS.WriteStream,
    stdin: process.stdin,
    debug: true, // whole frames, each in one piece
    exitOnCtrlC: false,
    patchConsole: false,
    isScreenReaderEnabled: linear,
  });
  instance.waitUntilExit().catch(onBroken);
  let timer: NodeJS.Timeout | undefined;
  let last = 0;
  const refresh = () => {
    clearTimeout(timer);
    timer = undefined;
    last = performance.now();
    frames.columns = app.state.size.columns;
    instance.rerender(root());
  };
  const unsubscribe = app.subscribe(() => {
    timer ??= setTimeout(refresh, Math.max(0, last + FRAME_MS - performance.now()));
  });
  return {
    refresh,
    end() {
      unsubscribe();
      clearTimeout(timer);
      frames.isOpen = false;
      instance.unmount();
    },
  };
}

function Root({ onInput, ...view }: AppProps & { readonly onInput: Parameters<typeof useInput>[0] }) {
  useInput(onInput);
  return <AppView {...view} />;
}

/** What Ink takes for its terminal. */
class FrameStream extends EventEmitter {
  readonly isTTY = false;
  columns = 80;
  isOpen = true;

  constructor(private readonly onFrame: (frame: string) => void) {
    super();
  }

  write(frame: string): boolean {
    if (this.isOpen && frame !== '') this.onFrame(frame);
    return true;
  }
}

function readPrompts(file: string): readonly string[] {
  try {
    const text = readFileSync(file, 'utf8');
    const read: unknown = text.length < MOST_PROMPTS_BYTES ? JSON.parse(text) : [];
    return Array.isArray(read) ? read.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

/** Whatever is said aloud while the screen is ours goes to the log. */
function toLog(log: (...what: readonly unknown[]) => void): () => void {
  const { error, warn, info, debug } = console;
  const plain = console.log;
  const write = process.stderr.write;
  Object.assign(console, { log, error: log, warn: log, info: log, debug: log });
  process.stderr.write = ((text: string | Uint8Array) => {
    log(typeof text === 'string' ? text : new TextDecoder().decode(text));
    return true;
  }) as typeof write;
  return () => {
    Object.assign(console, { log: plain, error, warn, info, debug });
    process.stderr.write = write;
  };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

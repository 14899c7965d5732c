/** Programs in a real pseudo-terminal, by tmux: keys in, screens out. */
import { execFileSync, spawnSync } from 'node:child_process';
import { MAIN } from './cli.ts';
import { PANTRY } from './files.ts';

export const hasTmux = spawnSync('tmux', ['-V']).status === 0;

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Of Node, before the program. */
  readonly node?: readonly string[];
}

let sessions = 0;

export class Terminal {
  readonly #socket = `soup-test-${process.pid}-${++sessions}`;

  /** A shell that has started `soup` with these arguments, and says its exit code when it ends. */
  constructor(args: readonly string[], { columns = 100, rows = 30, cwd, env = {}, node = [] }: TerminalOptions) {
    // Nothing in the pane is to know that this is tmux, but for TERM.
    const words = ['env', '-u', 'TMUX', '-u', 'TMUX_PANE', process.execPath, ...node, MAIN, ...args]
      .map(quoted)
      .join(' ');
    const { CI: _, NO_COLOR: __, FORCE_COLOR: ___, ...inherited } = process.env;
    const all = { ...inherited, COLORTERM: 'truecolor', LANG: 'C.UTF-8', SOUP_PANTRY: PANTRY, ...env };
    const options = { cwd, env: { ...all, TMUX: '' } };
    // The shell outlives the program, so that its last words and the terminal's modes can be looked at.
    const script = `${words}; echo "exit code $?"; stty -a; exec sleep 600`;
    const size = ['-x', String(columns), '-y', String(rows)];
    execFileSync(
      'tmux',
      [
        '-u',
        '-L',
        this.#socket,
        '-f',
        '/dev/null',
        'start-server',
        ';',
        'set',
        '-g',
        'default-terminal',
        env.TERM ?? 'tmux-256color',
        ';',
        'set',
        '-g',
        'set-clipboard',
        'on',
        ';',
        'new-session',
        '-d',
        ...size,
        'sh',
        '-c',
        script,
      ],
      options,
    );
  }

  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-u', '-L', this.#socket, ...args], { encoding: 'utf8' });
  }

  /** Names of keys as tmux has them: "Down", "C-c", or text. */
  keys(...names: string[]): void {
    for (const name of names) this.#tmux('send-keys', name);
  }

  type(text: string): void {
    this.#tmux('send-keys', '-l', text);
  }

  paste(text: string): void {
    this.#tmux('set-buffer', text);
    this.#tmux('paste-buffer', '-p');
  }

  screen({ colours = false } = {}): string {
    return this.#tmux('capture-pane', '-p', ...(colours ? ['-e'] : []));
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** What tmux knows of the terminal, such as alternate_on or cursor_flag. */
  fact(name: string): string {
    return this.#tmux('display-message', '-p', `#{${name}}`).trim();
  }

  /** Everything that is written to the terminal from now on, as it is, into a file. */
  record(file: string): void {
    this.#tmux('pipe-pane', '-O', `cat > ${quoted(file)}`);
  }

  /** What the program has put on the clipboard. */
  clipboard(): string {
    return this.#tmux('show-buffer');
  }

  /** The processes of the program: itself first. */
  processes(): number[] {
    const shell = Number(this.fact('pane_pid'));
    const children = (pid: number): number[] =>
      spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter(Boolean)
        .map(Number);
    return children(shell).flatMap((pid) => [pid, ...children(pid)]);
  }

  /** Waits until the screen shows it; returns that screen. */
  async shows(what: string | RegExp, { within = 180_000 } = {}): Promise<string> {
    const until = performance.now() + within;
    for (;;) {
      const screen = this.screen();
      if (typeof what === 'string' ? screen.includes(what) : what.test(screen)) return screen;
      if (performance.now() > until) throw new Error(`the terminal does not show ${what}, but\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  close(): void {
    spawnSync('tmux', ['-L', this.#socket, 'kill-server']);
  }
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

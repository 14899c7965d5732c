/**
 * The modes of the terminal: entered once, and left whatever happens. What must be undone is written at once to the
 * file descriptor, since a process that is ending has no time for streams.
 */
import { writeSync } from 'node:fs';
import type { ReadStream } from 'node:tty';

const ALTERNATE_SCREEN = '\x1b[?1049h';
const HIDDEN_CURSOR = '\x1b[?25l';
const BRACKETED_PASTE = '\x1b[?2004h';
export const ENTER = `${ALTERNATE_SCREEN}${HIDDEN_CURSOR}${BRACKETED_PASTE}\x1b[H\x1b[2J`;
/** Pictures of Kitty's protocol stay behind on some terminals unless they are deleted. */
export const LEAVE = '\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l';

export interface TerminalModes {
  /** Any number of times. */
  leave(): void;
}

export interface TerminalStreams {
  readonly stdin: Pick<ReadStream, 'setRawMode'>;
  readonly stdout: { readonly fd: number };
  /** Readers of the screen and simple terminals get plain lines, one after the other. */
  readonly isLinear: boolean;
}

let entered: TerminalModes | undefined;

/** Entering twice is entering once: the first picture of the screen is there before the application is loaded. */
export function enterTerminal({ stdin, stdout, isLinear }: TerminalStreams): TerminalModes {
  if (entered) return entered;
  stdin.setRawMode(true);
  if (!isLinear) write(stdout.fd, ENTER);
  const leave = () => {
    if (!entered) return;
    entered = undefined;
    process.off('exit', leave);
    if (!isLinear) write(stdout.fd, LEAVE);
    try {
      stdin.setRawMode(false);
    } catch {
      // The terminal has gone; there is nothing to restore.
    }
  };
  entered = { leave };
  process.on('exit', leave);
  return entered;
}

/** Before an error is told: what is said on the alternate screen is gone with it. */
export const leaveTerminal = (): void => entered?.leave();

function write(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    // The terminal has gone, or is too slow to take it now.
  }
}

type Env = Readonly<Record<string, string | undefined>>;

/** Readers of the screen, and terminals that cannot move the cursor. */
export const isLinear = (env: Env): boolean => env.INK_SCREEN_READER === 'true' || env.TERM === 'dumb';

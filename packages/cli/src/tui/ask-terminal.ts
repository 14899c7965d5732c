/** What the terminal says of itself when it is asked: few that draw Sixel say so in the environment. */
import type { PictureMode } from '../image/terminal-picture.js';

/** Primary device attributes (DA1), which every terminal since the VT100 answers: ESC [ ? 62 ; 4 ; 22 c. */
const QUESTION = '\x1b[c';
// biome-ignore lint/suspicious/noControlCharactersInRegex: the answer begins with one
const ANSWER = /\x1b\[\?([\d;]*)c/;
const SIXEL = '4';
const PATIENCE_MS = 150;

export interface Asked {
  on(event: 'readable', listener: () => void): unknown;
  off(event: 'readable', listener: () => void): unknown;
  read(): Buffer | string | null;
  unshift(chunk: string): void;
}

/** The mode, or Sixel in its place where the terminal draws that. Keys that are pressed meanwhile are left to be read. */
export async function askForSixel(
  mode: PictureMode,
  env: Readonly<Record<string, string | undefined>>,
  stdin: Asked,
  write: (text: string) => void,
  patienceMs = PATIENCE_MS,
): Promise<PictureMode> {
  // A multiplexer answers for itself, and the Linux console has no pictures.
  const isKnown = mode !== 'truecolor' && mode !== '256';
  if (isKnown || env.TMUX || env.STY || /^(screen|tmux|linux)/.test(env.TERM ?? '')) return mode;
  const answer = await answerTo(QUESTION, stdin, write, patienceMs);
  return answer?.split(';').includes(SIXEL) ? 'sixel' : mode;
}

function answerTo(question: string, stdin: Asked, write: (text: string) => void, ms: number) {
  return new Promise<string | undefined>((resolve) => {
    let heard = '';
    const timer = setTimeout(end, ms);
    stdin.on('readable', hear);
    write(question);
    function hear() {
      for (let chunk = stdin.read(); chunk !== null; chunk = stdin.read()) heard += chunk.toString();
      if (ANSWER.test(heard)) end();
    }
    function end() {
      clearTimeout(timer);
      stdin.off('readable', hear);
      const rest = heard.replace(ANSWER, '');
      if (rest !== '') stdin.unshift(rest);
      resolve(ANSWER.exec(heard)?.[1]);
    }
  });
}

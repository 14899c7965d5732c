/** What the terminal sends, as single key presses: chunks of fast typing taken apart, and pasted text kept whole. */
import type { Key } from 'ink';
import type { Press } from './keys.js';
import { characters } from './state/text-line.js';

const PASTE_BEGINS = '[200~';
const PASTE_ENDS = '[201~';
/** What a slow connection brings after nobody waited for it any more. */
const LATE_ANSWER = /^\[\?[\d;]*c$/;
const LONGEST_PASTE = 10_000;

export function createInput(onPress: (press: Press) => void): (input: string, key: Key) => void {
  let pasted: string | undefined;
  return (input, key) => {
    if (pasted !== undefined) {
      if (input === PASTE_ENDS) {
        onPress({ input: pasted.trim(), isPasted: true });
        pasted = undefined;
      } else if (pasted.length < LONGEST_PASTE) pasted += key.return ? ' ' : input;
    } else if (input === PASTE_BEGINS) pasted = '';
    else if (LATE_ANSWER.test(input)) return;
    else for (const press of pressesOf(input, key)) onPress(press);
  };
}

const CONTROLS: Readonly<Record<string, Press>> = {
  '\r': { input: '', return: true },
  '\n': { input: '', return: true },
  '\t': { input: '', tab: true },
  '\x7f': { input: '', backspace: true },
  '\b': { input: '', backspace: true },
};

function pressesOf(input: string, key: Key): Press[] {
  if (input.length <= 1 || key.ctrl || key.meta || key.escape) return [{ ...key, input }];
  return characters(input.replaceAll('\r\n', '\r')).map((character) => {
    const code = character.charCodeAt(0);
    if (CONTROLS[character]) return CONTROLS[character];
    return code < 27 ? { input: String.fromCharCode(code + 96), ctrl: true } : { input: character };
  });
}

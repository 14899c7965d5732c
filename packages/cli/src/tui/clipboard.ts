/** Text for the clipboard of the terminal, wherever that runs: OSC 52, which reaches through ssh. */

/** Terminals drop what is longer. */
const LONGEST = 74_000;

export function clipboardText(text: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const data = Buffer.from(text).toString('base64');
  if (data.length > LONGEST) return undefined;
  const sequence = `\x1b]52;c;${data}\x07`;
  // tmux takes it itself where it may; screen has to be told to pass it on.
  if (env.STY) return `\x1bP${sequence}\x1b\\`;
  return sequence;
}

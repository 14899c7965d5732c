/**
 * A strict JSON reader that keeps no tree: the caller says what it expects next and is called back. Unlike
 * JSON.parse it sees duplicate keys, keeps integers exact, bounds the nesting and knows where it is.
 * Time is linear in the text, and what it allocates is what the caller keeps.
 */
import { ConfigError } from '../errors.js';
import { printable } from './printable.js';

/** As deep as the reference reader (serde_json) goes; real headers nest 3 levels and configs 4. */
const DEEPEST = 128;

/** An object with few keys is searched faster than a Set is made; tensors have three. */
const FEW_KEYS = 8;

/** Tells the caller's error what is wrong and at which byte of the text. */
export type JsonFailure = (what: string, byte: number) => never;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const NINE = 0x39;
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

export class JsonReader {
  readonly text: string;
  /** The next character to read. */
  index = 0;
  readonly #failure: JsonFailure;

  constructor(text: string, failure: JsonFailure) {
    this.text = text;
    this.#failure = failure;
  }

  /** Fails at character `index`, which is turned into a byte offset only now. */
  fail(what: string, index = this.index): never {
    return this.#failure(what, utf8Length(this.text, index));
  }

  /** Skips white space and returns the next character, '' at the end. */
  peek(): string {
    for (;;) {
      const code = this.text.charCodeAt(this.index);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return this.text.charAt(this.index);
      this.index++;
    }
  }

  /** Refuses anything but white space up to the end. */
  end(): void {
    if (this.peek() !== '') this.fail(`expected nothing more, found ${this.found()}`);
  }

  /**
   * Reads an object; `member` must read the value of each key. A key that occurs twice is refused; a caller that
   * keeps the keys anyway says itself which have occurred.
   */
  object(member: (key: string) => void, occurred: (key: string) => boolean = remember()): void {
    this.expect('{', 'an object');
    if (this.accept('}')) return;
    do {
      if (this.peek() !== '"') this.fail(`expected a key in quotes, found ${this.found()}`);
      const at = this.index;
      const key = this.string();
      if (occurred(key)) this.fail(`the key "${printable(key)}" occurs twice`, at);
      this.expect(':', '":" after a key');
      member(key);
    } while (this.accept(','));
    this.expect('}', '"," or "}" in an object');
  }

  /** Reads an array; `element` must read each element. */
  array(element: (position: number) => void): void {
    this.expect('[', 'an array');
    if (this.accept(']')) return;
    let position = 0;
    do element(position++);
    while (this.accept(','));
    this.expect(']', '"," or "]" in an array');
  }

  string(): string {
    this.expect('"', 'a string');
    const start = this.index;
    for (;;) {
      const code = this.text.charCodeAt(this.index);
      if (code === QUOTE) return this.text.slice(start, this.index++);
      if (code === BACKSLASH) return this.#escapedString(start);
      if (!(code >= 0x20)) this.#badStringCharacter(code); // also NaN, the end of the text
      this.index++;
    }
  }

  /** Reads a whole number from 0 to 2^53 - 1, digits only: `1e3`, `1.0` and `-0` are refused. */
  integer(): number {
    this.peek();
    const start = this.index;
    let value = 0;
    let code = this.text.charCodeAt(start);
    while (code >= ZERO && code <= NINE) {
      value = value * 10 + (code - ZERO);
      code = this.text.charCodeAt(++this.index);
    }
    const digits = this.index - start;
    const rest = this.text.charAt(this.index);
    const leadingZero = digits > 1 && this.text.charCodeAt(start) === ZERO;
    if (digits === 0 || leadingZero || rest === '.' || rest === 'e' || rest === 'E') {
      this.index = start;
      this.fail(`expected a whole number in plain digits, 0 or more, found ${this.found()}`);
    }
    // Rounding starts above 2^53, so a sum that is still safe was exact all the way.
    if (!Number.isSafeInteger(value)) this.fail('the number is above 2^53 - 1, too large to be true', start);
    return value;
  }

  /** Reads any JSON number as a double. */
  number(): number {
    this.peek();
    const pattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
    pattern.lastIndex = this.index;
    const match = pattern.exec(this.text);
    if (!match) this.fail(`expected a number, found ${this.found()}`);
    this.index = pattern.lastIndex;
    return Number(match[0]);
  }

  /** Reads `word` (true, null, NaN, ...) if it is next. */
  word(word: string): boolean {
    this.peek();
    const matches = this.text.startsWith(word, this.index);
    if (matches) this.index += word.length;
    return matches;
  }

  /** Reads past a value of any kind without keeping any of it. */
  skip(depth = 0): void {
    if (depth > DEEPEST) this.fail(`values nest deeper than ${DEEPEST} levels`);
    const next = this.peek();
    if (next === '"') this.string();
    else if (next === '[') this.array(() => this.skip(depth + 1));
    else if (next === '{') this.#skipObject(depth);
    else if (!(this.word('true') || this.word('false') || this.word('null'))) this.number();
  }

  // Not object(): it would remember the keys.
  #skipObject(depth: number): void {
    this.expect('{', 'an object');
    if (this.accept('}')) return;
    do {
      this.string();
      this.expect(':', '":" after a key');
      this.skip(depth + 1);
    } while (this.accept(','));
    this.expect('}', '"," or "}" in an object');
  }

  accept(character: string): boolean {
    const matches = this.peek() === character;
    if (matches) this.index++;
    return matches;
  }

  expect(character: string, wanted: string): void {
    if (!this.accept(character)) this.fail(`expected ${wanted}, found ${this.found()}`);
  }

  /** What is at the index, for a message. */
  found(): string {
    if (this.index >= this.text.length) return 'the end';
    const rest = this.text.slice(this.index, this.index + 40);
    return `"${printable(/^[\w.+-]+/.exec(rest)?.[0] ?? String.fromCodePoint(rest.codePointAt(0)!))}"`;
  }

  #badStringCharacter(code: number): never {
    if (Number.isNaN(code)) this.fail('the text ends inside a string');
    return this.fail(`a string holds the control character ${this.found()}, which JSON wants escaped`);
  }

  #escapedString(start: number): string {
    const parts = [this.text.slice(start, this.index)];
    for (;;) {
      const code = this.text.charCodeAt(this.index);
      if (code === QUOTE) {
        this.index++;
        return parts.join('');
      }
      if (!(code >= 0x20)) this.#badStringCharacter(code);
      if (code === BACKSLASH) {
        parts.push(this.#escape());
        continue;
      }
      const from = this.index;
      while (!isSpecial(this.text.charCodeAt(this.index))) this.index++;
      parts.push(this.text.slice(from, this.index));
    }
  }

  #escape(): string {
    const at = this.index++;
    const kind = this.text.charAt(this.index++);
    if (Object.hasOwn(SIMPLE_ESCAPES, kind)) return SIMPLE_ESCAPES[kind]!;
    if (kind !== 'u') this.fail('a string holds a backslash that escapes nothing', at);
    const unit = this.#hex(at);
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    // Half a surrogate pair is no character: it would be lost when written as UTF-8.
    if (unit < 0xdc00 && this.text.startsWith('\\u', this.index)) {
      this.index += 2;
      const low = this.#hex(at);
      if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(unit, low);
    }
    return this.fail('a string holds half of a surrogate pair', at);
  }

  #hex(at: number): number {
    const digits = this.text.slice(this.index, this.index + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('"\\u" needs four hexadecimal digits', at);
    this.index += 4;
    return Number.parseInt(digits, 16);
  }
}

/** Remembers what it is asked for, and says whether it was asked for before. */
function remember(): (key: string) => boolean {
  const few: string[] = [];
  let many: Set<string> | undefined;
  return (key) => {
    if (many ? many.has(key) : few.includes(key)) return true;
    if (many) many.add(key);
    else if (few.push(key) > FEW_KEYS) many = new Set(few);
    return false;
  };
}

/** Ends a run of plain characters in a string; NaN, the end of the text, is special too. */
function isSpecial(code: number): boolean {
  return !(code >= 0x20) || code === QUOTE || code === BACKSLASH;
}

/** Bytes of the first `end` characters in UTF-8. The text came from UTF-8, so surrogates are paired. */
function utf8Length(text: string, end: number): number {
  let bytes = 0;
  for (let i = 0; i < Math.min(end, text.length); i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) bytes += 1;
    else if (code < 0x800 || (code >= 0xd800 && code <= 0xdfff)) bytes += 2;
    else bytes += 3;
  }
  return bytes;
}

/** What a config file can hold. Objects have no prototype, so a key `__proto__` is a key. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Reads a config as Python's json module writes it: JSON with `Infinity`, `-Infinity` and `NaN` besides. */
export function parseConfigJson(text: string, file = 'config'): JsonValue {
  const reader = new JsonReader(text, (what, byte) => {
    throw new ConfigError(
      `${printable(file)}: not valid JSON at byte ${byte}: ${what}. Repair the file or get it again.`,
      { file: printable(file), byte },
    );
  });
  const value = configValue(reader, 0);
  reader.end();
  return value;
}

function configValue(reader: JsonReader, depth: number): JsonValue {
  if (depth > DEEPEST) reader.fail(`values nest deeper than ${DEEPEST} levels`);
  const next = reader.peek();
  if (next === '"') return reader.string();
  if (next === '[') {
    const values: JsonValue[] = [];
    reader.array(() => values.push(configValue(reader, depth + 1)));
    return values;
  }
  if (next === '{') {
    const object: JsonObject = Object.create(null);
    reader.object((key) => {
      object[key] = configValue(reader, depth + 1);
    });
    return object;
  }
  if (reader.word('true')) return true;
  if (reader.word('false')) return false;
  if (reader.word('null')) return null;
  if (reader.word('NaN')) return Number.NaN;
  if (reader.word('Infinity')) return Number.POSITIVE_INFINITY;
  if (reader.word('-Infinity')) return Number.NEGATIVE_INFINITY;
  return reader.number();
}

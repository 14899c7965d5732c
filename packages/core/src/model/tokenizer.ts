/** Text to CLIP's token ids: lower case, bytes, byte pairs merged by rank, a fixed window. */
import { Tokenizer } from '@huggingface/tokenizers';
import { printable } from '../checkpoint/printable.js';
import { CheckpointError } from '../errors.js';
import { readTokenizerFiles, type TokenizerData, type TokenizerFiles } from './tokenizer-files.js';

export type { TokenizerFiles } from './tokenizer-files.js';

export interface Encoding {
  /** As many as the window: start, the prompt's tokens, end, padding. */
  readonly ids: readonly number[];
  /** Of the prompt, as far as they fit. */
  readonly tokens: readonly string[];
  /** The end of the prompt that did not fit, as the tokenizer reads it; absent when all of it did. */
  readonly dropped?: string;
}

export interface ClipTokenizer {
  /** Tokens that the text encoder takes at a time, start and end included. */
  readonly window: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  encode(text: string): Encoding;
}

/** Contractions, words, single digits, runs of anything else that is not space: as in OpenAI's CLIP. */
const PIECES = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** `maxLength` is the text encoder's; a tokenizer that declares a shorter window keeps it. */
export function createTokenizer(files: TokenizerFiles, { maxLength }: { readonly maxLength: number }): ClipTokenizer {
  const data = readTokenizerFiles(files);
  const [bosId, eosId, padId] = [data.bos, data.eos, data.pad].map((token) => idOf(token, data));
  const tokenizer = new Tokenizer(tokenizerJson(data, { [data.bos]: bosId, [data.eos]: eosId }), {});
  const window = Math.min(maxLength, data.modelMaxLength);
  const room = window - 2;

  return {
    window,
    bosId,
    eosId,
    padId,
    encode(text) {
      const { ids, tokens } = tokenizer.encode(unescapeHtml(text), { add_special_tokens: false });
      const padded = [bosId, ...ids.slice(0, room), eosId];
      while (padded.length < window) padded.push(padId);
      const encoding = { ids: padded, tokens: tokens.slice(0, room) };
      if (ids.length <= room) return encoding;
      return { ...encoding, dropped: tokenizer.decode(ids.slice(room)).trim() };
    },
  };
}

function idOf(token: string, { vocab, addedTokens }: TokenizerData): number {
  const id =
    addedTokens.find(({ content }) => content === token)?.id ??
    (Object.hasOwn(vocab, token) ? vocab[token] : undefined);
  if (id !== undefined) return id;
  throw new CheckpointError(`tokenizer/: the special token "${printable(token)}" is not in the vocabulary.`, {
    file: 'tokenizer/',
    found: token,
  });
}

/** What Hugging Face's tokenizer.json says of CLIP. Special tokens typed in a prompt count as such, as they do there. */
function tokenizerJson({ vocab, merges, addedTokens, eos }: TokenizerData, special: Readonly<Record<string, number>>) {
  const added = new Map([...addedTokens.map(({ content, id }) => [content, id] as const), ...Object.entries(special)]);
  return {
    added_tokens: [...added].map(([content, id]) => ({
      id,
      content,
      normalized: false,
      special: Object.hasOwn(special, content),
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        // Character by character, a sigma at a word's end is lowered like any other; JavaScript looks at the word.
        { type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: PIECES }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', unk_token: eos, end_of_word_suffix: '</w>', continuing_subword_prefix: '', vocab, merges },
  };
}

const ENTITY = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

/** Text copied from a web page, as CLIP saw it in training: twice, for pages that escape what is escaped. */
function unescapeHtml(text: string): string {
  const once = (escaped: string) =>
    escaped.replace(ENTITY, (entity, decimal?: string, hex?: string, name?: string) => {
      if (name) return ENTITIES[name.toLowerCase()];
      const code = decimal ? Number(decimal) : Number.parseInt(hex!, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : entity;
    });
  return once(once(text));
}

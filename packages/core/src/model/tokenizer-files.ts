/**
 * A CLIP tokenizer's files, read strictly: vocab.json and merges.txt, or the same two inside a tokenizer.json, and the
 * names of the special tokens. Only data is taken from them; how text is cut up is CLIP's and does not change.
 */
import { printable, printableValue } from '../checkpoint/printable.js';
import { CheckpointError } from '../errors.js';

/** The files' texts, of a folder named tokenizer/. */
export interface TokenizerFiles {
  readonly vocab?: string;
  readonly merges?: string;
  readonly tokenizerJson?: string;
  /** tokenizer_config.json */
  readonly config?: string;
  /** special_tokens_map.json */
  readonly specialTokens?: string;
}

export interface TokenizerData {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
  /** Beyond the vocabulary: new words of textual inversion, and the special tokens again. */
  readonly addedTokens: readonly { readonly content: string; readonly id: number }[];
  readonly bos: string;
  readonly eos: string;
  readonly pad: string;
  /** The window that the tokenizer itself declares. */
  readonly modelMaxLength: number;
}

/** The largest vocabulary of a CLIP has 49,408 tokens; ids fill arrays, so a large one would too. */
const LARGEST_ID = 2 ** 20;

type Json = Readonly<Record<string, unknown>>;

export function readTokenizerFiles(files: TokenizerFiles): TokenizerData {
  const config = files.config === undefined ? {} : parseObject(files.config, 'tokenizer_config.json');
  const map = files.specialTokens === undefined ? {} : parseObject(files.specialTokens, 'special_tokens_map.json');
  const special = (key: string, otherwise: string) => contentOf(config[key]) ?? contentOf(map[key]) ?? otherwise;
  const eos = special('eos_token', '<|endoftext|>');
  const { modelMaxLength, ...data } = { ...readModel(files), modelMaxLength: config.model_max_length };
  return {
    ...data,
    bos: special('bos_token', '<|startoftext|>'),
    eos,
    pad: special('pad_token', eos),
    modelMaxLength: typeof modelMaxLength === 'number' && modelMaxLength > 0 ? modelMaxLength : Infinity,
  };
}

function readModel({ vocab, merges, tokenizerJson }: TokenizerFiles) {
  if (tokenizerJson !== undefined) return readTokenizerJson(tokenizerJson);
  if (vocab === undefined || merges === undefined) {
    throw new CheckpointError(
      'tokenizer/: expected vocab.json and merges.txt, or tokenizer.json; ' +
        `${vocab === undefined ? 'vocab.json' : 'merges.txt'} is missing.`,
      { file: 'tokenizer/' },
    );
  }
  const ids = checkVocab(parseObject(vocab, 'vocab.json'), 'vocab.json');
  return { vocab: ids, merges: readMerges(merges, ids), addedTokens: [] };
}

function readTokenizerJson(text: string) {
  const file = 'tokenizer.json';
  const { model, added_tokens: added } = parseObject(text, file);
  if (!isObject(model) || (model.type ?? 'BPE') !== 'BPE' || model.end_of_word_suffix !== '</w>') {
    const found = isObject(model) ? `${model.type} with suffix ${model.end_of_word_suffix}` : printableValue(model);
    fail(file, `expected CLIP's model, BPE with the suffix </w>; found ${printable(found)}`);
  }
  if (!isObject(model.vocab)) fail(file, 'model.vocab: expected an object of ids by token');
  const vocab = checkVocab(model.vocab, file);
  if (!Array.isArray(model.merges)) fail(file, 'model.merges: expected a list');
  const merges = model.merges.map((entry: unknown, i) => {
    const pair: unknown = typeof entry === 'string' ? entry.split(' ') : entry;
    return checkMerge(pair, vocab, file, `model.merges[${i}]`);
  });
  const addedTokens = (Array.isArray(added) ? added : []).map((token: unknown, i) => {
    if (isObject(token) && typeof token.content === 'string' && token.content !== '' && isId(token.id)) {
      return { content: token.content, id: token.id };
    }
    return fail(file, `added_tokens[${i}]: expected content and id, found ${printableValue(token)}`);
  });
  return { vocab, merges, addedTokens };
}

function checkVocab(vocab: Json, file: string): Readonly<Record<string, number>> {
  const seen = new Map<number, string>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!isId(id))
      fail(file, `"${printable(token)}": expected an id from 0 to ${LARGEST_ID}, found ${printableValue(id)}`);
    const other = seen.get(id);
    if (other !== undefined) fail(file, `"${printable(token)}" and "${printable(other)}" have the same id, ${id}`);
    seen.set(id, token);
  }
  return vocab as Readonly<Record<string, number>>;
}

/** A pair on each line, the one to be merged first at the top; the first line may be a version. */
function readMerges(text: string, vocab: Readonly<Record<string, number>>): [string, string][] {
  const merges: [string, string][] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || (i === 0 && line.startsWith('#version'))) continue;
    merges.push(checkMerge(line.split(' '), vocab, 'merges.txt', `line ${i + 1}`));
  }
  return merges;
}

function checkMerge(
  pair: unknown,
  vocab: Readonly<Record<string, number>>,
  file: string,
  where: string,
): [string, string] {
  if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string' && part !== '')) {
    return fail(file, `${where}: expected two tokens with a space between, found ${printableValue(pair)}`);
  }
  const [left, right] = pair as [string, string];
  if (!Object.hasOwn(vocab, left + right)) {
    fail(
      file,
      `${where}: makes "${printable(left + right)}", which the vocabulary lacks: the files do not belong together`,
    );
  }
  return [left, right];
}

function parseObject(text: string, file: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const position = /position (\d+)/.exec(String(cause))?.[1];
    const line = position === undefined ? '' : `, line ${text.slice(0, Number(position)).split('\n').length}`;
    throw new CheckpointError(`tokenizer/${file}${line}: this is not JSON. The file is damaged.`, { file }, { cause });
  }
  return isObject(value) ? value : fail(file, `expected an object, found ${printableValue(value)}`);
}

function fail(file: string, what: string): never {
  throw new CheckpointError(`tokenizer/${file}: ${what}. The file is damaged or of another kind.`, { file });
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isId = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LARGEST_ID;

/** Special tokens are written as text or as an object around the text. */
const contentOf = (token: unknown): string | undefined => {
  const content = isObject(token) ? token.content : token;
  return typeof content === 'string' && content !== '' ? content : undefined;
};

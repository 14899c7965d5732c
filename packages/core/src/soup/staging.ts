/**
 * Where the bytes of a batch go: staging memory holds a small table, then each ingredient's runs of numbers, one
 * ingredient after the other. So runs that are neighbours in the file are neighbours in memory, are read at once, and
 * tensors that are averaged alike become one long vector, averaged in one dispatch.
 */
import type { TensorInfo } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import type { Average } from './blend.js';

/** Memory for one tensor, which may lie among others in a buffer. */
export interface Target {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** A run of whole rows of one tensor, in every ingredient, and where the average goes. */
export interface Piece {
  readonly average: Average;
  /** The tensor seen as (rows, channels, taps). */
  readonly firstRow: number;
  readonly rows: number;
  /** Of the matrix in memory, which other tensors may be part of, and how many of them before this one. */
  readonly allRows: number;
  readonly rowsBefore?: number;
  readonly channels: number;
  readonly taps: number;
  /** Where the result goes; without one it is handed out as bytes. */
  readonly target?: Target;
  /** 0: the file's order; else the order of a Matrix of that width. */
  readonly width: 0 | 1 | 4 | 32;
  /** Two 16-bit numbers in a word, instead of one f32. */
  readonly packed: boolean;
  /** The integer sum itself, in words; 0 for the average. */
  readonly sums?: 0 | 1 | 2;
}

/** The numbers that average.wgsl knows formats by. F64 is narrowed to F32 on the way. */
export const FORMATS = { F32: 0, F16: 1, BF16: 2, F64: 0, I32: 3, I64: 4 } as const;
export type Format = keyof typeof FORMATS;

/** Words of an ingredient's entry in the table: where its numbers begin, their format, its p. */
const WORDS_PER_ENTRY = 3;

/** Numbers of a piece, of each ingredient. */
export const elementsOf = ({ rows, channels, taps }: Piece): number => rows * channels * taps;

/** Bytes of a number in staging memory. */
export function stagedBytes({ dtype }: TensorInfo): number {
  if (dtype === 'F16' || dtype === 'BF16') return 2;
  return dtype === 'I64' ? 8 : 4;
}

export const align4 = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** Staging bytes that a piece needs. */
export const pieceBytes = (piece: Piece): number =>
  piece.average.terms.reduce((sum, { info }) => sum + align4(elementsOf(piece) * stagedBytes(info)), 0) +
  piece.average.terms.length * WORDS_PER_ENTRY * 4;

/** Bytes that a piece without a target hands out. */
export function resultBytes(piece: Piece): number {
  return elementsOf(piece) * (piece.sums ? piece.sums * 4 : piece.packed ? 2 : 4);
}

/** What is read: `bytes` bytes of a source at `offset`, to byte `at` of staging memory. */
interface Read {
  readonly info: TensorInfo;
  readonly offset: number;
  readonly at: number;
  bytes: number;
}

/** One dispatch: pieces whose numbers lie one after the other, in staging memory and in the result. */
export interface Dispatch {
  readonly pieces: Piece[];
  /** Numbers of each ingredient. */
  elements: number;
  /** Where the ingredients' numbers begin, in bytes. */
  readonly starts: readonly number[];
  /** Where the result begins, in bytes of the output. */
  readonly resultAt: number;
  resultEnd: number;
  table: number;
}

export interface Batch {
  readonly dispatches: readonly Dispatch[];
  readonly reads: readonly Read[];
  /** By piece, where each ingredient's numbers begin, in bytes. */
  readonly starts: readonly (readonly number[])[];
  readonly tableBytes: number;
  /** Bytes of staging memory, and of the output. */
  readonly bytes: number;
  readonly outputBytes: number;
}

/** Lays out pieces that fit; the numbers begin at a multiple of `alignment` bytes. */
export function layOut(pieces: readonly Piece[], alignment = 4): Batch {
  const entryBytes = pieces.reduce((sum, { average }) => sum + average.terms.length * WORDS_PER_ENTRY * 4, 0);
  const tableBytes = Math.ceil(entryBytes / alignment) * alignment;
  const starts: number[][] = pieces.map(() => []);
  const reads: Read[] = [];
  let at = tableBytes;
  const most = Math.max(...pieces.map(({ average }) => average.terms.length));
  for (let i = 0; i < most; i++) {
    for (const [index, piece] of pieces.entries()) {
      const info = piece.average.terms[i]?.info;
      if (!info) continue;
      const elements = elementsOf(piece);
      starts[index]!.push(at);
      addRead(reads, info, piece.firstRow * piece.channels * piece.taps, elements, at);
      at += align4(elements * stagedBytes(info));
    }
  }
  const { dispatches, outputBytes } = group(pieces, starts);
  return { dispatches, reads, starts, tableBytes, bytes: at, outputBytes };
}

function addRead(reads: Read[], info: TensorInfo, first: number, elements: number, at: number): void {
  if (info.dtype in FORMATS === false) {
    throw new CheckpointError(
      `${info.source.name}: ${info.name} is ${info.dtype}; weights are read as F16, BF16, F32 or F64. ` +
        'Convert the checkpoint first.',
      { file: info.source.name, tensor: info.name, byte: info.offset },
    );
  }
  const size = info.dtype === 'F64' ? 8 : stagedBytes(info);
  const [offset, bytes] = [info.offset + first * size, elements * size];
  const last = reads.at(-1);
  const follows =
    last &&
    last.info.source === info.source &&
    last.info.dtype !== 'F64' &&
    info.dtype !== 'F64' &&
    last.offset + last.bytes === offset &&
    last.at + last.bytes === at;
  if (follows) last.bytes += bytes;
  else reads.push({ info, offset, at, bytes });
}

function group(pieces: readonly Piece[], starts: readonly number[][]): { dispatches: Dispatch[]; outputBytes: number } {
  const dispatches: Dispatch[] = [];
  let outputBytes = 0;
  for (const [i, piece] of pieces.entries()) {
    const bytes = piece.target ? 0 : resultBytes(piece);
    const last = dispatches.at(-1);
    if (last && continues(last, piece, starts[i]!)) {
      last.pieces.push(piece);
      last.elements += elementsOf(piece);
      last.resultEnd += bytes;
    } else {
      const resultAt = align4(outputBytes);
      dispatches.push({ ...dispatchOf(piece, starts[i]!), resultAt, resultEnd: resultAt + bytes });
    }
    outputBytes = dispatches.at(-1)!.resultEnd;
  }
  return { dispatches, outputBytes: align4(outputBytes) };
}

/** Of one piece, with a target. */
export const dispatchOf = (piece: Piece, starts: readonly number[]): Dispatch => ({
  pieces: [piece],
  elements: elementsOf(piece),
  starts,
  resultAt: 0,
  resultEnd: 0,
  table: 0,
});

/** Whether a piece's numbers follow those of a dispatch, to be averaged in the same way. */
function continues(
  { pieces, elements, starts, resultEnd }: Dispatch,
  piece: Piece,
  begins: readonly number[],
): boolean {
  const before = pieces[0]!;
  const [a, b] = [before.average, piece.average];
  if (before.target || piece.target || before.sums !== piece.sums || before.packed !== piece.packed) return false;
  if (
    a.q !== b.q ||
    a.keepZeroSign !== b.keepZeroSign ||
    a.result !== b.result ||
    a.allowNonFinite !== b.allowNonFinite
  )
    return false;
  if (a.terms.length !== b.terms.length || resultEnd % 4 !== 0) return false;
  return a.terms.every(
    ({ info, p }, i) =>
      p === b.terms[i]!.p &&
      info.dtype === b.terms[i]!.info.dtype &&
      starts[i]! + elements * stagedBytes(info) === begins[i],
  );
}

/** Fills mapped staging memory: the table, and the ingredients' numbers from their files. */
export async function fill(batch: Batch, staging: ArrayBuffer): Promise<void> {
  fillTable(batch.dispatches, new Uint32Array(staging, 0, batch.tableBytes / 4));
  await fillNumbers(batch, staging);
}

/** Where each dispatch finds its ingredients' numbers, and what they weigh. */
export function fillTable(dispatches: readonly Dispatch[], table: Uint32Array): void {
  let word = 0;
  for (const dispatch of dispatches) {
    dispatch.table = word;
    for (const [i, { info, p }] of dispatch.pieces[0]!.average.terms.entries()) {
      table[word++] = dispatch.starts[i]! / 4;
      table[word++] = FORMATS[info.dtype as Format];
      table[word++] = p;
    }
  }
}

export async function fillNumbers({ reads }: Batch, staging: ArrayBuffer): Promise<void> {
  await Promise.all(
    reads.map(async ({ info, offset, at, bytes }) => {
      if (info.dtype !== 'F64') return info.source.readInto(new Uint8Array(staging, at, bytes), offset);
      const wide = new Float64Array(bytes / 8);
      await info.source.readInto(new Uint8Array(wide.buffer), offset);
      new Float32Array(staging, at, wide.length).set(wide);
    }),
  );
}

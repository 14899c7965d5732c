/**
 * Averaging on the GPU, straight from the files into wherever the result is wanted. Bytes are read into mapped
 * staging memory, a batch at a time; while the GPU averages one batch (average.wgsl), the next one is read.
 */

import type { TensorInfo } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import { MapMode, Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { getPipeline, packParams } from '../gpu/kernel.js';

/** A run of whole rows of one tensor, in every ingredient, and where the average goes. */
export interface Piece {
  readonly tensors: readonly { readonly info: TensorInfo; readonly share: number }[];
  /** The tensor seen as (all rows, channels, taps). */
  readonly firstRow: number;
  readonly rows: number;
  readonly allRows: number;
  readonly channels: number;
  readonly taps: number;
  readonly target: GPUBuffer;
  /** 0: the file's order; 1 or 4: the order of a Matrix of that width. */
  readonly width: 0 | 1 | 4;
  /** With width 0: the element of `target` where this piece begins, even if packed. */
  readonly firstElement?: number;
  /** Two 16-bit numbers in a word, instead of one f32. */
  readonly packed: boolean;
}

export interface Averager {
  add(piece: Piece): Promise<void>;
  /** Sends what has been added. Work queued on the device afterwards sees the result. */
  flush(): Promise<void>;
  destroy(): void;
}

const FORMATS = { F32: 0, F16: 1, BF16: 2, F64: 0 } as const;
type Format = keyof typeof FORMATS;
/** Pieces in a batch: small tensors come by the hundreds. */
const MAX_PIECES = 512;
const PARAMS_PITCH = 256;
const WORDS_PER_ENTRY = 3;

/** Bytes of a number once it is in staging memory; f64 is narrowed to f32 on the way. */
export const stagedBytes = (info: TensorInfo): number => (info.dtype === 'F16' || info.dtype === 'BF16' ? 2 : 4);

const align4 = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** Staging bytes that `rows` rows of a tensor need. */
export const pieceBytes = ({ tensors, rows, channels, taps }: Pick<Piece, 'tensors' | 'rows' | 'channels' | 'taps'>) =>
  tensors.reduce((sum, { info }) => sum + align4(rows * channels * taps * stagedBytes(info)), 0) +
  tensors.length * WORDS_PER_ENTRY * 4;

export function createAverager(gpu: Gpu, stagingBytes: number): Averager {
  const { device } = gpu;
  const size = align4(stagingBytes);
  const mappable = [0, 1].map((i) => {
    gpu.memory.reserve(size, 'staging memory');
    return device.createBuffer({
      size,
      usage: Usage.MAP_WRITE | Usage.COPY_SRC,
      mappedAtCreation: true,
      label: `staging ${i}`,
    });
  });
  const mapped: Promise<undefined>[] = [Promise.resolve(undefined), Promise.resolve(undefined)];
  const input = gpu.createBuffer(size, Usage.STORAGE | Usage.COPY_DST, 'averaging input');
  const params = gpu.createBuffer(MAX_PIECES * PARAMS_PITCH, Usage.UNIFORM | Usage.COPY_DST, 'averaging parameters');
  let current = 0;
  let filled = 0;
  let range: ArrayBuffer | undefined;
  let pieces: { piece: Piece; table: number }[] = [];

  async function flush(): Promise<void> {
    if (pieces.length === 0) return;
    const slot = mappable[current]!;
    slot.unmap();
    range = undefined;
    const packed = new ArrayBuffer(pieces.length * PARAMS_PITCH);
    const encoder = device.createCommandEncoder({ label: 'average' });
    encoder.copyBufferToBuffer(slot, 0, input, 0, align4(filled));
    const pass = encoder.beginComputePass({ label: 'average' });
    pieces.forEach(({ piece, table }, i) => {
      const pipeline = getPipeline(gpu, 'average', { constants: { PACKED: piece.packed } });
      const elements = piece.rows * piece.channels * piece.taps;
      const words = piece.packed ? Math.ceil(elements / 2) : elements;
      const values = {
        words,
        table,
        ingredients: piece.tensors.length,
        storage: FORMATS[piece.tensors[0]!.info.dtype as Format],
        rows: piece.rows,
        channels: piece.channels,
        taps: piece.taps,
        width: piece.width,
        first: piece.width === 0 ? (piece.firstElement ?? 0) : piece.firstRow,
        all_rows: piece.allRows,
      };
      packParams(pipeline.source, values, new DataView(packed, i * PARAMS_PITCH, PARAMS_PITCH));
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(
        0,
        device.createBindGroup({
          layout: pipeline.layout,
          entries: [
            { binding: 0, resource: { buffer: params, offset: i * PARAMS_PITCH, size: PARAMS_PITCH } },
            { binding: 1, resource: { buffer: input } },
            { binding: 2, resource: { buffer: piece.target } },
          ],
        }),
      );
      pass.dispatchWorkgroups(...spread(words, 64));
    });
    pass.end();
    device.queue.writeBuffer(params, 0, packed);
    device.queue.submit([encoder.finish()]);
    mapped[current] = slot.mapAsync(MapMode.WRITE) as Promise<undefined>;
    mapped[current]!.catch(() => {}); // waited for, and reported, when the slot is wanted again
    current = 1 - current;
    filled = 0;
    pieces = [];
    await gpu.settled(mapped[current]!, 'averaging weights');
  }

  return {
    async add(piece) {
      const bytes = pieceBytes(piece);
      if (bytes > size) throw new RangeError(`a piece of ${bytes} bytes does not fit staging memory of ${size}`);
      if (filled + bytes > size || pieces.length === MAX_PIECES) await flush();
      range ??= mappable[current]!.getMappedRange();
      const staging = range;
      const table = filled / 4;
      const entries = new Uint32Array(staging, filled, piece.tensors.length * WORDS_PER_ENTRY);
      let at = filled + entries.byteLength;
      const reads = piece.tensors.map(async ({ info, share }, i) => {
        const count = piece.rows * piece.channels * piece.taps;
        const start = at;
        at += align4(count * stagedBytes(info));
        entries[i * WORDS_PER_ENTRY] = start / 4;
        entries[i * WORDS_PER_ENTRY + 1] = FORMATS[info.dtype as Format];
        new Float32Array(staging, entries.byteOffset + (i * WORDS_PER_ENTRY + 2) * 4, 1)[0] = share;
        await readRows(info, piece.firstRow * piece.channels * piece.taps, count, staging, start);
      });
      filled = at;
      pieces.push({ piece, table });
      await Promise.all(reads);
    },
    flush,
    destroy() {
      for (const buffer of [...mappable, input, params]) gpu.destroyBuffer(buffer);
    },
  };
}

/** Reads `count` numbers of a tensor, from number `first` on, into staging memory at byte `start`. */
async function readRows(info: TensorInfo, first: number, count: number, staging: ArrayBuffer, start: number) {
  if (info.dtype in FORMATS === false) {
    throw new CheckpointError(
      `${info.source.name}: ${info.name} is ${info.dtype}; weights are read as F16, BF16, F32 or F64. ` +
        'Convert the checkpoint first.',
      { file: info.source.name, tensor: info.name, byte: info.offset },
    );
  }
  if (info.dtype === 'F64') {
    const wide = new Float64Array(count);
    await info.source.readInto(new Uint8Array(wide.buffer), info.offset + first * 8);
    new Float32Array(staging, start, count).set(wide);
    return;
  }
  const bytes = stagedBytes(info);
  await info.source.readInto(new Uint8Array(staging, start, count * bytes), info.offset + first * bytes);
}

/** The largest exponents of residents: by them re-average.ts knows whose sums cannot overflow. */
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';
import { PARAMS_PITCH } from './average-pass.js';
import { elementsOf, type Piece } from './staging.js';

/** Words of a run that a workgroup gets through. */
const STRETCH = 4096;
/** What one dispatch takes at most: workgroups. */
const MOST_GROUPS = 65535;

export interface Reach {
  /** Of ingredients that lie in `input`; the first of them is place number `first`. */
  measure(input: GPUBuffer, places: readonly Place[], first: number): void;
  /** By place, the largest exponent field of all its halves; Infinity where others than halves are among them. */
  read(): Promise<number[]>;
}

/** Where a piece's ingredients lie on the device: with every term that its averages may have, of any weight. */
export interface Place {
  readonly piece: Piece;
  /** Of each term, in bytes. */
  readonly starts: readonly number[];
  readonly chunk: Chunk;
}

export interface Chunk {
  /** A table, then the ingredients' numbers. */
  readonly input: GPUBuffer;
  readonly tableBytes: number;
}

/** `found` has a word of zeros for each place. */
export function createReach(gpu: Gpu, found: GPUBuffer): Reach {
  const { device } = gpu;
  const { pipeline, layout, source } = getPipeline(gpu, 'reach');
  const isKnown: boolean[] = [];
  return {
    measure(input, places, first) {
      const runs = places.flatMap(({ piece, starts }, i) => {
        const { terms } = piece.average;
        isKnown[first + i] = terms.every(({ info }) => info.dtype === 'F16');
        const words = Math.ceil(elementsOf(piece) / 2);
        const stretch = Math.max(STRETCH, Math.ceil(words / MOST_GROUPS));
        return isKnown[first + i] ? starts.map((at) => ({ start: at / 4, words, stretch, place: first + i })) : [];
      });
      if (runs.length === 0) return;
      const packed = new ArrayBuffer(runs.length * PARAMS_PITCH);
      const params = gpu.createBuffer(packed.byteLength, Usage.UNIFORM | Usage.COPY_DST, 'runs of halves');
      const encoder = device.createCommandEncoder({ label: 'largest exponents' });
      const pass = encoder.beginComputePass({ label: 'largest exponents' });
      pass.setPipeline(pipeline);
      for (const [i, run] of runs.entries()) {
        packParams(source, run, new DataView(packed, i * PARAMS_PITCH, PARAMS_PITCH));
        const resources = [
          { buffer: params, offset: i * PARAMS_PITCH, size: PARAMS_PITCH },
          { buffer: input },
          { buffer: found },
        ];
        pass.setBindGroup(
          0,
          device.createBindGroup({ layout, entries: resources.map((resource, binding) => ({ binding, resource })) }),
        );
        pass.dispatchWorkgroups(Math.ceil(run.words / run.stretch));
      }
      pass.end();
      device.queue.writeBuffer(params, 0, packed);
      device.queue.submit([encoder.finish()]);
      gpu.destroyBuffer(params); // once what was submitted is done
    },
    async read() {
      const numbers = new Uint32Array(await readBuffer(gpu, found, found.size, 'loading weights'));
      return isKnown.map((known, i) => (known ? numbers[i]! : Number.POSITIVE_INFINITY));
    },
  };
}

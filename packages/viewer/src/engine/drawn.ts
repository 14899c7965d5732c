/** Pictures that were drawn, with what they are of, for as long as someone may want one as a file. */
import { UsageError } from '@diffusion-soup/core';
import type { Drawn } from './files.js';

/** Of pixels: two hundred pictures of 512 x 512. */
const MOST_BYTES = 200 * 2 ** 20;

export class DrawnPictures {
  readonly #pictures = new Map<string, Drawn>();
  #bytes = 0;

  constructor(private readonly most = MOST_BYTES) {}

  keep(key: string, drawn: Drawn): void {
    this.#forget(key);
    this.#pictures.set(key, drawn);
    this.#bytes += drawn.image.pixels.byteLength;
    for (const oldest of this.#pictures.keys()) {
      if (this.#bytes <= this.most || oldest === key) break;
      this.#forget(oldest);
    }
  }

  get(key: string): Drawn {
    const drawn = this.#pictures.get(key);
    if (!drawn) throw new UsageError('This picture was drawn too long ago to be saved. Draw it again.', { key });
    return drawn;
  }

  #forget(key: string): void {
    this.#bytes -= this.#pictures.get(key)?.image.pixels.byteLength ?? 0;
    this.#pictures.delete(key);
  }
}

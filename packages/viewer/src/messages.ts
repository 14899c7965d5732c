/** What the page and its worker say to each other. */

export interface DrawRequest {
  readonly id: number;
  /** Weight of each shard, by name; those at 0 stay out. */
  readonly weights: Readonly<Record<string, number>>;
  readonly prompt: string;
  readonly negative: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
}

export type Progress =
  | {
      readonly id: number;
      readonly type: 'loading';
      readonly part: string;
      readonly done: number;
      readonly total: number;
    }
  | { readonly id: number; readonly type: 'step'; readonly step: number; readonly steps: number }
  | {
      readonly id: number;
      readonly type: 'image';
      readonly width: number;
      readonly height: number;
      readonly pixels: Uint8Array;
    }
  | { readonly id: number; readonly type: 'failed'; readonly message: string };

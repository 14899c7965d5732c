/**
 * What the page and its engine, a Web Worker, say to each other: plain data that a structured clone can carry.
 * Every order has an `id` of the page's choosing, and every event about it carries that id. An order ends with exactly
 * one of `done`, `failed` and `cancelled`; what it yields comes before its end, as an event of the order's own type.
 * After `failed` the engine goes on: the next order opens the device again where it has to.
 */
import type { Image, SamplerName } from '@diffusion-soup/core';

/** Where the bytes of a model come from. Nothing is asked of another host than the page's own except by `url` and `hub`. */
export type ModelPlace =
  /** A folder beside the page, as the server's or the static site's index lists it. */
  | { readonly type: 'pantry'; readonly path: string }
  /** A folder of a model, or one safetensors file, by its address. */
  | { readonly type: 'url'; readonly url: string }
  /** A model of Hugging Face: "owner/name". */
  | { readonly type: 'hub'; readonly model: string }
  | { readonly type: 'directory'; readonly handle: FileSystemDirectoryHandle }
  /** `handle`: by which it can be opened again after a reload. */
  | { readonly type: 'file'; readonly file: File; readonly handle?: FileSystemFileHandle }
  /** Files of one folder that were dropped or picked; paths use '/' and begin below the folder. */
  | { readonly type: 'files'; readonly files: readonly { readonly path: string; readonly file: File }[] };

export interface ModelReference {
  /** What the page calls it: unique among the models that the engine knows. */
  readonly name: string;
  readonly place: ModelPlace;
}

export interface Portion {
  /** Of a model that a `models` order has named. */
  readonly name: string;
  /** As written: "2", "0.25" or "1/3". In proportion to the others. */
  readonly weight: string;
  /** Factors on the weight by block, as a recipe has them: numbers or fractions as written. */
  readonly blocks?: Readonly<Record<string, string>>;
}

export interface Blend {
  readonly portions: readonly Portion[];
  /** Where parts come from that no portion has. */
  readonly base?: string;
}

export interface PictureSettings {
  readonly prompt: string;
  readonly negative: string;
  /** A whole number below 2^64, in digits: such a number does not fit a double. */
  readonly seed: string;
  readonly steps: number;
  readonly sampler: SamplerName;
  readonly guidance: number;
  /** Pixels; the model's own size when they are not given. */
  readonly width?: number;
  readonly height?: number;
}

/** A coarse picture has few steps, and is drawn while things are still being turned. */
export type Quality = 'coarse' | 'full';

export interface DrawOrder {
  readonly type: 'draw';
  readonly id: number;
  /** Equal for equal pictures; comes back with the picture. */
  readonly key: string;
  readonly blend: Blend;
  readonly picture: PictureSettings;
  readonly quality: Quality;
  /** Decode every so many steps into a preview, or never at 0. */
  readonly previewEvery: number;
}

export type Order =
  /** The first order. The canvas is painted by the engine; without one every picture comes back as pixels alone. */
  | {
      readonly type: 'start';
      readonly id: number;
      readonly canvas?: OffscreenCanvas;
      /** Of the server that `soup view` started: goes with every request to the page's own origin. */
      readonly token?: string;
      /** Its address, which paths of the pantry are relative to. */
      readonly page: string;
      /** Bytes of GPU memory to use at most; what the browser tells of the machine decides otherwise. */
      readonly memory?: number;
    }
  /** Replaces the list of models that the others speak of. Opens their configs and headers, and no weights. */
  | { readonly type: 'models'; readonly id: number; readonly models: readonly ModelReference[] }
  /** What a blend would cost, so that the page may ask before it is loaded. */
  | { readonly type: 'survey'; readonly id: number; readonly blend: Blend }
  /** Cancels the drawing before it, at the latest after the step that is being computed. */
  | DrawOrder
  /** The blend as one safetensors file, byte for byte what `soup merge` writes. A turned slider does not cancel it. */
  | {
      readonly type: 'merge';
      readonly id: number;
      readonly blend: Blend;
      /** Where to write; without one a file of the origin's private file system comes back with `merged`. */
      readonly target?: FileSystemFileHandle;
    }
  /** Puts a picture that was drawn before onto the canvas again. */
  | { readonly type: 'show'; readonly id: number; readonly image: Image }
  /** Writes the metadata of a picture that was drawn, as the command line writes it. */
  | { readonly type: 'picture-file'; readonly id: number; readonly key: string }
  /** What a picture or a recipe says of how it was made. */
  | { readonly type: 'restore'; readonly id: number; readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'cache'; readonly id: number; readonly action: 'info' | 'clear' }
  /** Ends the order `target`. */
  | { readonly type: 'cancel'; readonly id: number; readonly target: number }
  /** Gives back all GPU memory: the page is hidden or left. The next drawing loads again, from the cache. */
  | { readonly type: 'release'; readonly id: number }
  /** For tests alone: loses the device as a driver would. */
  | { readonly type: 'lose'; readonly id: number };

/**
 * `models.json` beside the page: what there is to blend at first sight. The server of `soup view` makes it of the local
 * pantry, the build of the static site of the pantry that it copies.
 */
export interface Listing {
  readonly models: readonly ListedModel[];
  /** The recipe that `soup view RECIPE` was given, as text that a `restore` order understands. */
  readonly recipe?: { readonly name: string; readonly text: string };
}

export interface ListedModel {
  readonly name: string;
  /** Relative to the page: of a folder, or of one safetensors file. */
  readonly path: string;
  readonly kind: 'folder' | 'file';
  /** `base` has the parts that shards lack; `model` is neither, and is not switched on at first. */
  readonly role: 'shard' | 'base' | 'model';
  readonly bytes: number;
  readonly note?: string;
}

/** What is known of a model without its weights. */
export interface KnownModel {
  readonly name: string;
  /** Of its weights, in the files. */
  readonly bytes: number;
  /** The picture's size in pixels when none is asked for. */
  readonly size: number;
  /** Blocks whose weights can be set apart. */
  readonly blocks: readonly string[];
  /** Why it cannot be used, or does not go with the models before it. */
  readonly problem?: string;
}

export interface Survey {
  /** Bytes to read in all, each shared tensor counted once; the three after it sum to it. */
  readonly bytes: number;
  readonly fromNetwork: number;
  readonly fromCache: number;
  readonly fromDisk: number;
  /** Bytes of GPU memory with all ingredients resident, and with the blend alone. */
  readonly gpuResident: number;
  readonly gpuLeast: number;
  /** More than 500 MB would be fetched or held: ask first. */
  readonly confirm: boolean;
}

export type ByteOrigin = 'network' | 'cache' | 'disk';

/** What went wrong, for a page that shows each in its own way. */
export type FailureKind =
  | 'no-webgpu'
  | 'no-adapter'
  | 'limits'
  | 'device-lost'
  | 'out-of-memory'
  | 'quota'
  | 'offline'
  | 'bad-file'
  | 'incompatible'
  | 'bad-input'
  | 'disk'
  | 'internal';

export interface Restored {
  readonly picture: Partial<PictureSettings>;
  /** With the content hash that each model had, where the file says it. */
  readonly portions: readonly (Portion & { readonly root?: string })[];
  readonly base?: string;
}

export type EngineEvent =
  | {
      readonly type: 'machine';
      readonly id: number;
      readonly adapter: string;
      readonly precision: 'f16' | 'f32';
      /** How pictures reach the canvas: from the GPU, through pixels, or there is no canvas. */
      readonly painting: 'gpu' | 'pixels' | 'none';
    }
  | { readonly type: 'models'; readonly id: number; readonly models: readonly KnownModel[] }
  | { readonly type: 'survey'; readonly id: number; readonly survey: Survey }
  | {
      readonly type: 'loading';
      readonly id: number;
      /** What the bytes are of: "UNet". */
      readonly part: string;
      readonly origin: ByteOrigin;
      readonly bytes: number;
      readonly total: number;
      /** Seconds, from how fast the bytes of the last few seconds came; absent until there is something to go by. */
      readonly eta?: number;
    }
  /** `preview` is absent when the canvas was painted, and at steps without one. */
  | {
      readonly type: 'step';
      readonly id: number;
      readonly key: string;
      readonly step: number;
      readonly steps: number;
      readonly preview?: Image;
    }
  | {
      readonly type: 'image';
      readonly id: number;
      readonly key: string;
      readonly quality: Quality;
      readonly image: Image;
      /** From the order to the picture. */
      readonly seconds: number;
    }
  | { readonly type: 'merging'; readonly id: number; readonly bytes: number; readonly total: number }
  /** `hash` is the file's SHA-256 in hexadecimal digits. `file` is there when the order had no target. */
  | {
      readonly type: 'merged';
      readonly id: number;
      readonly bytes: number;
      readonly hash: string;
      readonly file?: File;
    }
  | { readonly type: 'picture-file'; readonly id: number; readonly png: Uint8Array<ArrayBuffer> }
  | { readonly type: 'restored'; readonly id: number; readonly restored: Restored }
  /** Bytes, asked for or after a drawing has read files; the quota is what the browser grants to the whole origin. */
  | { readonly type: 'cache'; readonly id: number; readonly used: number; readonly quota: number }
  /** GPU memory in bytes, after every order that may have changed it. */
  | { readonly type: 'memory'; readonly id: number; readonly used: number; readonly peak: number }
  | { readonly type: 'done'; readonly id: number }
  | { readonly type: 'cancelled'; readonly id: number }
  /** `sentence` says what was found, `remedy` what to do. Both are printable. */
  | {
      readonly type: 'failed';
      readonly id: number;
      readonly kind: FailureKind;
      readonly sentence: string;
      readonly remedy: string;
    };

/** 2-D convolution over (N, H, W, C). */
import { IncompatibleError } from '../errors.js';
import { activationCode } from '../gpu/activate.js';
import type { Gpu } from '../gpu/gpu.js';
import { call, elementCount, type Graph, graphOf, type StorageType, show, type Tensor } from '../gpu/graph.js';
import type { Product } from '../gpu/tuning.js';
import { epilogueParams } from './epilogue.js';
import { type HeldProduct, heldProduct, isHeld } from './held-rows.js';
import { plainTiling } from './matmul.js';
import { tiledProduct } from './tiled.js';
import { type Beside, type Matrix, type MatrixProduct, WIDEST_TILE } from './weights.js';

export interface Conv2dOptions {
  readonly stride?: number;
  /** Zeros added at [top, right, bottom, left]; by default half the kernel on every side. */
  readonly padding?: readonly [number, number, number, number];
  /** Scale the input to this height and width by nearest neighbour first. */
  readonly upsampleTo?: readonly [number, number];
  /**
   * What the result is stored as; by default what activations are. A network's last layer keeps all of f32, and what
   * begins a residual path is stored as its sums are.
   */
  readonly type?: StorageType | 'residual';
  /** Added to it, pixel by pixel; only where canBeBeside, and at the size of x. */
  readonly beside?: Beside;
}

/** y (N, H', W', rows of w) from x (N, H, W, C). */
export function conv2d(x: Tensor, w: Matrix, bias?: Tensor, options: Conv2dOptions = {}): Tensor {
  const [images, height, width, channels] = x.shape as [number, number, number, number];
  const half = (w.kernel - 1) / 2;
  const { stride = 1, padding = [half, half, half, half], upsampleTo = [height, width] } = options;
  const [top, right, bottom, left] = padding;
  if (channels * w.kernel ** 2 !== w.inner) {
    throw new IncompatibleError(
      `${w.data.storage.label} takes ${w.inner / w.kernel ** 2} channels; its input is ${show(x.shape)}`,
    );
  }
  const outHeight = Math.floor((upsampleTo[0] + top + bottom - w.kernel) / stride) + 1;
  const outWidth = Math.floor((upsampleTo[1] + left + right - w.kernel) / stride) + 1;
  const graph = graphOf(x);
  const { precision, residual } = graph.gpu;
  const type = options.type === 'residual' ? residual : (options.type ?? precision);
  const isScaled = upsampleTo[0] !== height || upsampleTo[1] !== width;
  const isDoubled = upsampleTo[0] === height * 2 && upsampleTo[1] === width * 2;
  const isPlain = w.kernel === 3 && stride === 1 && padding.every((pixels) => pixels === 1);
  const isFolded = isDoubled && isPlain && canFold(graph.gpu, w, height * width);
  // Pixels of what windows look at, and of what the product's rows are.
  const size = [height, width] as const;
  const seen = isFolded ? size : upsampleTo;
  const made = isFolded ? size : ([outHeight, outWidth] as const);
  const product = {
    ...{ x, bias, type, shape: [images, outHeight, outWidth, w.rows], rowsPerImage: outHeight * outWidth },
    ...(isFolded ? { w: foldTaps(graph, w), phases: PHASES } : { w, phases: 1 }),
  };
  const window = {
    stride,
    pad_top: top,
    pad_left: left,
    in_height: height,
    in_width: width,
    up_height: seen[0],
    up_width: seen[1],
    out_width: made[1],
  };
  const { kernel } = product.w;
  if (w.width === 32) {
    return tiledProduct({
      ...product,
      kernel: 'conv2d',
      beside: options.beside,
      params: { ...window, channels },
      constants: { KERNEL: kernel, UPSAMPLE: isScaled && !isFolded },
      wantsBorder: kernel > 1 && !isScaled && padding.every((pixels) => pixels <= 1),
    });
  }
  const params = { ...window, kernel, channels: channels / w.width };
  if (isHeld(graph.gpu, w, product.rowsPerImage / product.phases)) {
    return heldProduct({ ...product, kernel: 'conv2d-rows', params });
  }
  return plainConvolution(graph, { ...product, params: { ...params, out_height: made[0] } });
}

/** On any device (conv2d.wgsl). */
function plainConvolution(
  graph: Graph,
  { x, w, bias, shape, type, phases, params }: MatrixProduct & Required<Pick<HeldProduct, 'phases' | 'params'>>,
): Tensor {
  const columns = w.rows;
  const rows = elementCount(shape) / columns;
  const product: Product = { kernel: 'conv2d', rows, columns, inner: w.inner / phases };
  const { tile, tiling } = plainTiling(graph.gpu, product);
  const rowGroups = Math.ceil(rows / phases / tile.rows) * phases;
  const isScaled = params.up_height !== params.in_height || params.up_width !== params.in_width;
  return call(graph, {
    kernel: 'conv2d',
    product: { ...product, ...tiling },
    inputs: { x, w: w.data, bias },
    shape,
    type,
    epilogue: { activation: true, add: true },
    dispatch: (node) => ({
      variant: {
        width: w.width as 1 | 4,
        weights: w.packed ? 'pairs' : 'numbers',
        constants: {
          ...{ WORKGROUP: tile.threads, ROWS: tile.rows, PHASES: phases, UPSAMPLE: isScaled },
          ACTIVATION: activationCode(node.activation),
        },
        subgroup: graph.gpu.subgroup,
      },
      params: { ...epilogueParams(node), rows: rows / phases, columns, ...params },
      workgroups: [Math.ceil(columns / (tile.threads * 4)), Math.min(rowGroups, 65535), Math.ceil(rowGroups / 65535)],
    }),
  });
}

/** Output pixels of even and odd rows and columns, where the input is scaled by two (phases.wgsl). */
const PHASES = 4;

/** Weights are added up four at a time and have to be bound at once; and a faster kernel that wants many rows is worth more. */
function canFold(gpu: Gpu, w: Matrix, pixels: number): boolean {
  const { maxStorageBufferBindingSize } = gpu.device.limits;
  if (w.width === 1 || foldedSize(w) * 4 > maxStorageBufferBindingSize) return false;
  return w.width === 32 || isHeld(gpu, w, pixels) === isHeld(gpu, w, pixels * PHASES);
}

/** Four taps of each phase in the place of nine; behind those for tiles there is memory for a whole one. */
const foldedSize = ({ inner, rows, width }: Matrix): number =>
  (inner / 9) * 4 * PHASES * rows + (width === 32 ? WIDEST_TILE * 32 : 0);

/**
 * A convolution by 3 x 3 of an input that is scaled by two first, as PHASES convolutions by 2 x 2 of the input itself, one below the
 * other in the inner dimension (fold-taps.wgsl): 16 multiplications instead of 36.
 */
function foldTaps(graph: Graph, w: Matrix): Matrix {
  const channels = w.inner / 9;
  const blocks = w.width === 32 ? channels / 32 : 1;
  const size = (channels * w.rows) / blocks / 4;
  const packed = w.packed && graph.gpu.precision === 'f16';
  const data = call(graph, {
    kernel: 'fold-taps',
    inputs: { w: w.data },
    shape: [foldedSize(w)],
    type: packed ? 'f16' : 'f32',
    dispatch: () => ({
      variant: { width: 4, weights: w.packed ? 'pairs' : 'numbers' },
      params: { size, blocks },
      workgroups: [Math.ceil(size / 256), blocks],
    }),
  });
  return { data, rows: w.rows, inner: channels * 4 * PHASES, kernel: 2, width: w.width, packed };
}

/**
 * The page's canvas. Pictures go there from the GPU, without their pixels being read first; those that are not on the GPU
 * in one piece (decoded in tiles) are written from their pixels. Without WebGPU for canvases a 2-D context takes all.
 * The canvas has the picture's size: scaling is the page's, by CSS.
 */
import { createPainter, type DevicePicture, type Gpu, type Image } from '@diffusion-soup/core';

export type Painting = 'gpu' | 'pixels' | 'none';

/** Pixels are written as they are, so the format is that of pixels; every canvas can be of it. */
const FORMAT = 'rgba8unorm';

export interface Easel {
  readonly painting: Painting;
  /** Whether it painted. */
  paintDecoded(picture: DevicePicture): boolean;
  paintImage(image: Image): void;
  destroy(): void;
}

/** For the life of a device. A canvas keeps the kind of its first context. */
export function openEasel(canvas: OffscreenCanvas | undefined, gpu: Gpu): Easel {
  if (!canvas) return { painting: 'none', paintDecoded: () => false, paintImage() {}, destroy() {} };
  return openGpuEasel(canvas, gpu) ?? openPixelEasel(canvas);
}

function openGpuEasel(canvas: OffscreenCanvas, gpu: Gpu): Easel | undefined {
  const context = canvas.getContext('webgpu') as GPUCanvasContext | null;
  if (!context) return undefined;
  const usage = GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_DST;
  context.configure({ device: gpu.device, format: FORMAT, usage, alphaMode: 'opaque' });
  const painter = createPainter(gpu, FORMAT);
  return {
    painting: 'gpu',
    paintDecoded(picture) {
      fit(canvas, picture);
      painter.paint(context.getCurrentTexture(), picture);
      return true;
    },
    paintImage({ width, height, pixels }) {
      fit(canvas, { width, height });
      gpu.device.queue.writeTexture(
        { texture: context.getCurrentTexture() },
        pixels as Uint8Array<ArrayBuffer>,
        { bytesPerRow: width * 4 },
        { width, height },
      );
    },
    destroy() {
      painter.destroy();
      context.unconfigure();
    },
  };
}

function openPixelEasel(canvas: OffscreenCanvas): Easel {
  const context = canvas.getContext('2d');
  return {
    painting: context ? 'pixels' : 'none',
    paintDecoded: () => false,
    paintImage({ width, height, pixels }) {
      fit(canvas, { width, height });
      context?.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
    },
    destroy() {},
  };
}

/** Setting a size clears, even when it is the same. */
function fit(canvas: OffscreenCanvas, { width, height }: { width: number; height: number }): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

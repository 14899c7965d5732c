/** Decoded pictures onto a canvas, or any other texture, without their pixels leaving the GPU. */
import { FRAGMENT_STAGE, Usage } from './flags.js';
import type { Gpu } from './gpu.js';
import { shaders } from './shaders.gen.js';

/** A picture in the making, where the VAE left it: numbers about [-1, 1], (height, width, channels). */
export interface DevicePicture {
  readonly buffer: GPUBuffer;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

export interface Painter {
  /** Onto a texture of the picture's size that may be rendered to. Comes after all that has been submitted. */
  paint(target: GPUTexture, picture: DevicePicture): void;
  destroy(): void;
}

export function createPainter(gpu: Gpu, format: GPUTextureFormat): Painter {
  const { device } = gpu;
  const module = device.createShaderModule({ label: 'paint', code: shaders.paint });
  const layout = device.createBindGroupLayout({
    label: 'paint',
    entries: (['uniform', 'read-only-storage'] as const).map((type, binding) => ({
      binding,
      visibility: FRAGMENT_STAGE,
      buffer: { type },
    })),
  });
  const pipeline = device.createRenderPipeline({
    label: 'paint',
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    vertex: { module, entryPoint: 'corner' },
    fragment: { module, entryPoint: 'colour', targets: [{ format }] },
  });
  const params = gpu.createBuffer(16, Usage.UNIFORM | Usage.COPY_DST, 'what is painted');

  return {
    paint(target, { buffer, width, channels }) {
      device.queue.writeBuffer(params, 0, Uint32Array.of(width, channels));
      const resources = [{ buffer: params }, { buffer }];
      const entries = resources.map((resource, binding) => ({ binding, resource }));
      const encoder = device.createCommandEncoder({ label: 'paint' });
      const pass = encoder.beginRenderPass({
        label: 'paint',
        colorAttachments: [{ view: target.createView(), loadOp: 'clear', storeOp: 'store' }],
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ label: 'paint', layout, entries }));
      pass.draw(3);
      pass.end();
      device.queue.submit([encoder.finish()]);
    },
    destroy: () => gpu.destroyBuffer(params),
  };
}

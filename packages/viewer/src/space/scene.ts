/** Draws the blend space with WebGPU, on a device of its own: the engine's is in the worker. */
import { TETRAHEDRON, toPoint } from '../state/barycentric.js';
import { toBitmap } from '../ui/still.js';
import type { Made } from './made.js';
import code from './scene.wgsl?raw';
import { axes, type Orbit, viewProjection } from './view.js';

export interface SceneState {
  readonly orbit: Orbit;
  readonly weights: readonly number[];
  readonly hues: readonly number[];
  readonly made: readonly Made[];
}

export interface Scene {
  draw(state: SceneState): void;
  destroy(): void;
}

/** a (4), b (4), colour (4) as the shader has them. */
const FLOATS = 12;
const [DISC, LINE, PICTURE] = [0, 1, 2];
const MOST_SHAPES = 200;
const MOST_PICTURES = 40;
const EDGES = [
  [0, 1],
  [0, 2],
  [0, 3],
  [1, 2],
  [1, 3],
  [2, 3],
] as const;

/** Undefined where there is no WebGPU. `onLost`: what was there is of no use any more. */
export async function openScene(canvas: HTMLCanvasElement, onLost: () => void): Promise<Scene | undefined> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'low-power' });
  const device = await adapter?.requestDevice({ label: 'space' });
  const context = canvas.getContext('webgpu');
  if (!device || !context) return undefined;
  void device.lost.then(({ reason }) => reason !== 'destroyed' && onLost());
  const format = navigator.gpu.getPreferredCanvasFormat();
  context.configure({ device, format, alphaMode: 'premultiplied' });
  const pipeline = await createPipeline(device, format);
  const camera = device.createBuffer({
    label: 'space.camera',
    size: 96,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  const shapes = device.createBuffer({
    label: 'space.shapes',
    size: MOST_SHAPES * FLOATS * 4,
    usage: GPUBufferUsage.VERTEX | GPUBufferUsage.COPY_DST,
  });
  const view = device.createBindGroup({
    label: 'space.view',
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: camera } }],
  });
  const pictures = createPictures(device, pipeline);

  const scene: Scene = {
    draw(state) {
      const ratio = Math.min(2, devicePixelRatio);
      const size = { width: Math.max(1, canvas.clientWidth * ratio), height: Math.max(1, canvas.clientHeight * ratio) };
      Object.assign(canvas, size);
      const { right, up } = axes(state.orbit);
      device.queue.writeBuffer(
        camera,
        0,
        new Float32Array([...viewProjection(state.orbit, size), ...right, 0, ...up, 0]),
      );
      const made = state.made.slice(-MOST_PICTURES);
      const palette = coloursOf(canvas);
      const flat = flatShapes(state, palette);
      const hung = made.map(({ weights }) => shape(toPoint(weights, TETRAHEDRON), 0.14, PICTURE, palette.ink));
      device.queue.writeBuffer(shapes, 0, new Float32Array([...flat, ...hung].flat()));
      const encoder = device.createCommandEncoder({ label: 'space' });
      const attachment = { view: context.getCurrentTexture().createView(), loadOp: 'clear', storeOp: 'store' } as const;
      const pass = encoder.beginRenderPass({
        label: 'space',
        colorAttachments: [{ ...attachment, clearValue: [0, 0, 0, 0] }],
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, view);
      pass.setVertexBuffer(0, shapes);
      pass.setBindGroup(1, pictures.none);
      // The last two of the flat ones are the point, which is drawn over everything.
      pass.draw(4, flat.length - 2);
      for (const [i, one] of made.entries()) {
        pass.setBindGroup(
          1,
          pictures.get(one, () => scene.draw(state)),
        );
        pass.draw(4, 1, 0, flat.length + i);
      }
      pass.setBindGroup(1, pictures.none);
      pass.draw(4, 2, 0, flat.length - 2);
      pass.end();
      device.queue.submit([encoder.finish()]);
    },
    destroy() {
      context.unconfigure();
      device.destroy();
    },
  };
  return scene;
}

type Colour = readonly number[];

const shape = (a: readonly number[], size: number, kind: number, colour: Colour, b: readonly number[] = [0, 0, 0]) => [
  ...a,
  size,
  ...b,
  kind,
  ...colour,
];

interface Palette {
  readonly ink: Colour;
  readonly ground: Colour;
  readonly hues: readonly Colour[];
}

function flatShapes({ weights, hues }: SceneState, { ink, ground, hues: all }: Palette): number[][] {
  const here = toPoint(weights, TETRAHEDRON);
  const faint = [...ink.slice(0, 3), 0.5];
  return [
    ...EDGES.map(([a, b]) => shape(TETRAHEDRON[a]!, 0.011, LINE, faint, TETRAHEDRON[b])),
    ...hues.map((hue, i) =>
      shape(here, 0.005 + weights[i]! * 0.03, LINE, [...all[hue]!.slice(0, 3), 0.7], TETRAHEDRON[i]),
    ),
    ...hues.map((hue, i) => shape(TETRAHEDRON[i]!, 0.07, DISC, all[hue]!)),
    shape(here, 0.1, DISC, ground),
    shape(here, 0.075, DISC, ink),
  ];
}

/** The theme's, as the style sheet has them. */
function coloursOf(canvas: HTMLCanvasElement): Palette {
  const probe = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!;
  const read = (colour: string): Colour => {
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  };
  const swatches = [...canvas.ownerDocument.querySelectorAll('.swatches > *')];
  const [ink, ground, ...hues] = swatches.map((swatch) => read(getComputedStyle(swatch).color));
  return { ink: ink!, ground: ground!, hues };
}

function createPipeline(device: GPUDevice, format: GPUTextureFormat): Promise<GPURenderPipeline> {
  const module = device.createShaderModule({ label: 'space', code });
  const blend = { srcFactor: 'one', dstFactor: 'one-minus-src-alpha' } as const;
  const attributes = [0, 1, 2].map((i) => ({ shaderLocation: i, offset: i * 16, format: 'float32x4' as const }));
  return device.createRenderPipelineAsync({
    label: 'space',
    layout: 'auto',
    vertex: { module, entryPoint: 'place', buffers: [{ arrayStride: FLOATS * 4, stepMode: 'instance', attributes }] },
    fragment: { module, entryPoint: 'paint', targets: [{ format, blend: { color: blend, alpha: blend } }] },
    primitive: { topology: 'triangle-strip' },
  });
}

/** Textures of pictures, made once each; until one is there, it is not seen. */
function createPictures(device: GPUDevice, pipeline: GPURenderPipeline) {
  const nearest = device.createSampler({ label: 'space.nearest', magFilter: 'nearest', minFilter: 'linear' });
  const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
  const group = (width: number, height: number) => {
    const texture = device.createTexture({
      label: 'space.picture',
      size: [width, height],
      format: 'rgba8unorm',
      usage,
    });
    const entries = [
      { binding: 0, resource: texture.createView() },
      { binding: 1, resource: nearest },
    ];
    const bindings = device.createBindGroup({
      label: 'space.picture',
      layout: pipeline.getBindGroupLayout(1),
      entries,
    });
    return { texture, bindings };
  };
  const none = group(1, 1).bindings;
  const known = new Map<string, GPUBindGroup>();
  return {
    none,
    get({ key, image }: Made, onReady: () => void): GPUBindGroup {
      const there = known.get(key);
      if (there) return there;
      known.set(key, none);
      void toBitmap(image).then((bitmap) => {
        const { texture, bindings } = group(bitmap.width, bitmap.height);
        device.queue.copyExternalImageToTexture({ source: bitmap }, { texture }, [bitmap.width, bitmap.height]);
        known.set(key, bindings);
        onReady();
      });
      return none;
    },
  };
}

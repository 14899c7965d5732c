/** A picture from its pixels, scaled by the browser and not by the page's own thread. */
import type { Image } from '@diffusion-soup/core';
import { useEffect, useRef } from 'preact/hooks';

interface StillProps {
  readonly image: Image;
  readonly label?: string;
  readonly class?: string;
}

export function Still({ image, label, ...rest }: StillProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    let isGone = false;
    void toBitmap(image).then((bitmap) => {
      if (!isGone) canvas.current?.getContext('bitmaprenderer')?.transferFromImageBitmap(bitmap);
    });
    return () => {
      isGone = true;
    };
  }, [image]);
  const role = label === undefined ? { 'aria-hidden': true as const } : { role: 'img' as const, 'aria-label': label };
  return <canvas ref={canvas} class={rest.class} width={image.width} height={image.height} {...role} />;
}

export const toBitmap = ({ width, height, pixels }: Image): Promise<ImageBitmap> =>
  createImageBitmap(new ImageData(new Uint8ClampedArray(pixels), width, height));

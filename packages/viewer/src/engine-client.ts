/** The engine in its worker, with the canvas that it paints. */
import type { EngineEvent, Order } from './messages.js';
import type { Engine } from './state/kitchen.js';

export function startEngine(): Engine {
  const worker = new Worker(new URL('./engine/worker.ts', import.meta.url), { type: 'module' });
  return {
    send(order: Order) {
      const canvas = order.type === 'start' ? order.canvas : undefined;
      worker.postMessage(order, canvas ? [canvas] : []);
    },
    listen(hear) {
      worker.onmessage = ({ data }: MessageEvent<EngineEvent>) => hear(data);
      // Only when its script does not load or breaks outside of any order: nothing will answer any more.
      worker.onerror = () =>
        hear({
          type: 'failed',
          id: 0,
          kind: 'internal',
          sentence: 'The engine of this page did not start.',
          remedy: 'Reload the page; if that does not help, try a current Chrome, Edge or Safari.',
        });
    },
  };
}

/** Hidden for a while or left, the page gives its GPU memory back; the next drawing loads again, from the cache. */
import type { Kitchen } from './state/kitchen.js';

const PATIENCE = 30_000;

export function releaseWhenHidden(kitchen: Kitchen): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => kitchen.release(), PATIENCE);
  });
  addEventListener('pagehide', () => kitchen.release());
}

/** What it runs on and what it keeps, at the foot of the page. */
import { formatBytes } from '@diffusion-soup/core';
import { useKitchen } from './context.js';

export function MachineLine() {
  const kitchen = useKitchen();
  const { machine, memory, cache } = kitchen.state.value;
  return (
    <footer class="foot">
      <p>
        {machine ? `${machine.adapter}, ${machine.precision}` : 'No GPU yet'}
        {memory && memory.used > 0 ? ` · ${formatBytes(memory.used)} of GPU memory` : ''}
      </p>
      {cache && (
        <p>
          Cache: {formatBytes(cache.used)}
          {cache.quota > 0 ? ` of ${formatBytes(cache.quota)}` : ''}{' '}
          <button
            type="button"
            class="link"
            disabled={cache.used === 0}
            onClick={() => kitchen.order({ type: 'cache', action: 'clear' })}
          >
            Clear
          </button>
        </p>
      )}
      <p>Everything is computed on this computer. Nothing is sent anywhere.</p>
    </footer>
  );
}

/** Two pictures, one over the other, with an edge that can be moved. */
import { useState } from 'preact/hooks';
import type { Doc } from '../state/document.js';
import { formula } from '../state/ingredients.js';
import { bestOf } from '../state/state.js';
import { useKitchen } from './context.js';
import { Slider } from './fields.js';
import { Still } from './still.js';

export function Wipe({ a, b }: { a: Doc; b: Doc }) {
  const { state, dispatch } = useKitchen();
  const [edge, setEdge] = useState(50);
  const [left, right] = [bestOf(state.value, a), bestOf(state.value, b)];
  return (
    <div class="wipe">
      <div class="frame">
        {right && <Still image={right.image} label={`B: ${formula(b.ingredients)}`} />}
        {left && (
          <div class="over" style={{ clipPath: `inset(0 ${100 - edge}% 0 0)` }}>
            <Still image={left.image} label={`A: ${formula(a.ingredients)}`} />
          </div>
        )}
        <div class="edge" style={{ left: `${edge}%` }} />
      </div>
      <div class="alpha">
        <span class="end">A</span>
        <Slider
          label="Edge between A and B"
          value={edge}
          max={100}
          step={1}
          text={`${edge} percent A`}
          onMove={setEdge}
        />
        <span class="end">B</span>
      </div>
      <p class="faint">
        A is {formula(a.ingredients)}.{' '}
        <button type="button" class="link" onClick={() => dispatch({ type: 'take', doc: a })}>
          Go back to A
        </button>
      </p>
    </div>
  );
}

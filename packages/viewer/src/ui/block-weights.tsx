/** Factors on an ingredient's weight, block by block. */
import type { Ingredient } from '../state/ingredients.js';
import { useKitchen } from './context.js';
import { Slider } from './fields.js';

interface BlockWeightsProps {
  readonly one: Ingredient;
  readonly blocks: readonly string[];
}

export function BlockWeights({ one: { name, blocks: factors }, blocks }: BlockWeightsProps) {
  const { move, settle } = useKitchen();
  return (
    <ul class="blocks">
      {blocks.map((block) => {
        const factor = Number(factors[block] ?? 1);
        return (
          <li key={block}>
            <span aria-hidden="true">{block}</span>
            <Slider
              label={`${block} of ${name}`}
              value={factor}
              max={2}
              step={0.05}
              onMove={(next) => move({ type: 'block', name, block, factor: String(next) })}
              onRest={settle}
            />
            <output>{factor.toFixed(2)}</output>
          </li>
        );
      })}
    </ul>
  );
}

/** One model: whether and how much of it is in the soup. */
import { useState } from 'preact/hooks';
import { type Ingredient, MOST_TURNED, parseWeight, shareOf, weightOf, written } from '../state/ingredients.js';
import { BlockWeights } from './block-weights.js';
import { useKitchen } from './context.js';
import { IconButton, Slider, Typed } from './fields.js';
import { Icon } from './icons.js';

export function IngredientRow({ one, hue }: { one: Ingredient; hue: number }) {
  const { state, dispatch, move, settle } = useKitchen();
  const [areBlocksOpen, setBlocksOpen] = useState(false);
  const { name, on, weight, locked } = one;
  const share = Math.round(shareOf(state.value.doc.present.ingredients, name) * 100);
  const known = state.value.known[name];
  const value = weightOf(one);
  return (
    <li class={`ingredient hue-${hue % 8}`} data-off={!on}>
      <div class="ingredient-head">
        <label class="switch">
          <input
            type="checkbox"
            role="switch"
            checked={on}
            aria-checked={on}
            disabled={known?.problem !== undefined}
            onChange={() => dispatch({ type: 'switch', name })}
          />
          <span class="name">{name}</span>
        </label>
        <span class="share" aria-hidden="true">
          {on ? `${share} %` : ''}
        </span>
        {known && known.blocks.length > 0 && on && (
          <IconButton label={`Blocks of ${name}`} pressed={areBlocksOpen} onClick={() => setBlocksOpen(!areBlocksOpen)}>
            <Icon name="blocks" />
          </IconButton>
        )}
        <IconButton
          label={`Lock the weight of ${name}`}
          pressed={locked}
          onClick={() => dispatch({ type: 'lock', name })}
        >
          <Icon name={locked ? 'lock' : 'unlock'} />
        </IconButton>
        <IconButton label={`Remove ${name}`} onClick={() => dispatch({ type: 'remove', name })}>
          <Icon name="cross" />
        </IconButton>
      </div>
      <div class="ingredient-weight">
        <Slider
          label={`Weight of ${name}`}
          value={value}
          max={Math.max(MOST_TURNED, value)}
          step={0.01}
          text={`${weight}, ${share} percent of the soup`}
          onMove={(next) => move({ type: 'weigh', name, weight: written(next), by: name })}
          onRest={settle}
        />
        <Typed
          class="number"
          label={`Weight of ${name} as a number`}
          hint="A number or a fraction: 0.3, 2, 1/3"
          value={weight}
          accept={(text) => parseWeight(text) !== undefined}
          onCommit={(text) => dispatch({ type: 'weigh', name, weight: text })}
        />
      </div>
      {known?.problem && <p class="problem">{known.problem}</p>}
      {areBlocksOpen && on && known && <BlockWeights one={one} blocks={known.blocks} />}
    </li>
  );
}

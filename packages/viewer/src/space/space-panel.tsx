/** The blend as a place: on a line between 2 ingredients, in a triangle of 3, in a tetrahedron of 4. */
import { useState } from 'preact/hooks';
import { normalise } from '../state/barycentric.js';
import { type Ingredient, weightOf } from '../state/ingredients.js';
import { useKitchen } from '../ui/context.js';
import { Slider } from '../ui/fields.js';
import { SimplexPad } from './simplex-pad.js';
import { Tetrahedron } from './tetrahedron.js';

const MOST_CORNERS = 4;

export interface Corner {
  readonly name: string;
  readonly hue: number;
}

export interface SpaceProps {
  readonly corners: readonly Corner[];
  /** Of the corners; they sum to 1. */
  readonly weights: readonly number[];
  readonly onPlace: (weights: readonly number[]) => void;
  readonly onRest: () => void;
}

export function SpacePanel() {
  const { state, move, settle } = useKitchen();
  const { ingredients } = state.value.doc.present;
  const [chosen, setChosen] = useState<readonly string[]>();
  const on = ingredients.filter((one) => one.on).map(({ name }) => name);
  const names = (chosen?.filter((name) => on.includes(name)) ?? on).slice(0, MOST_CORNERS);
  const corners = names.map((name) => ({ name, hue: ingredients.findIndex((one) => one.name === name) % 8 }));
  const of = (name: string): Ingredient => ingredients.find((one) => one.name === name)!;
  const props: SpaceProps = {
    corners,
    weights: normalise(names.map((name) => weightOf(of(name)))),
    onPlace: (weights) =>
      move({
        type: 'place',
        weights: Object.fromEntries(weights.map((weight, i) => [names[i]!, weight])),
        by: 'space',
      }),
    onRest: settle,
  };
  return (
    <section class="panel space" aria-labelledby="space-title">
      <h2 id="space-title">Blend space</h2>
      {on.length > 2 && (
        <fieldset class="chips" aria-label="Corners">
          {on.map((name) => (
            <button
              key={name}
              type="button"
              class={`chip hue-${ingredients.findIndex((one) => one.name === name) % 8}`}
              aria-pressed={names.includes(name)}
              onClick={() =>
                setChosen(
                  names.includes(name) ? names.filter((one) => one !== name) : [...names, name].slice(-MOST_CORNERS),
                )
              }
            >
              {name}
            </button>
          ))}
        </fieldset>
      )}
      {names.length < 2 && <p class="faint">Switch on two to four ingredients to walk between them.</p>}
      {names.length === 2 && <Alpha {...props} />}
      {names.length === 3 && <SimplexPad {...props} />}
      {names.length === 4 && <Tetrahedron {...props} />}
    </section>
  );
}

function Alpha({ corners: [a, b], weights, onPlace, onRest }: SpaceProps) {
  const alpha = weights[1]!;
  return (
    <div class="alpha">
      <span class={`hue-${a!.hue} end`}>{a!.name}</span>
      <Slider
        label={`From ${a!.name} to ${b!.name}`}
        value={alpha}
        max={1}
        step={0.01}
        text={`${Math.round((1 - alpha) * 100)} percent ${a!.name}, ${Math.round(alpha * 100)} percent ${b!.name}`}
        onMove={(next) => onPlace([1 - next, next])}
        onRest={onRest}
      />
      <span class={`hue-${b!.hue} end`}>{b!.name}</span>
    </div>
  );
}

export const spoken = (corners: readonly Corner[], weights: readonly number[]): string =>
  corners.map(({ name }, i) => `${Math.round(weights[i]! * 100)} percent ${name}`).join(', ');

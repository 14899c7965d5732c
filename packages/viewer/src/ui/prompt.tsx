/** What is drawn, and from which noise. */
import { parseSeed, randomSeed } from '../state/document.js';
import { useKitchen } from './context.js';
import { IconButton, Typed } from './fields.js';
import { Icon } from './icons.js';

const IDEAS = [
  'red apple',
  'rocket',
  'cat face',
  'pizza',
  'house with garden',
  'smiling face with sunglasses',
  'octopus',
];

export function Prompt() {
  const { state, dispatch, move, settle } = useKitchen();
  const { picture, seedLocked } = state.value.doc.present;
  return (
    <section class="prompt" aria-label="Prompt">
      <label class="field wide">
        <span>Prompt</span>
        <input
          class="prompt-text"
          value={picture.prompt}
          list="ideas"
          autocomplete="off"
          onInput={({ currentTarget }) =>
            move({ type: 'picture', change: { prompt: currentTarget.value }, by: 'prompt' })
          }
          onChange={settle}
        />
      </label>
      <datalist id="ideas">
        {IDEAS.map((idea) => (
          <option key={idea} value={idea} />
        ))}
      </datalist>
      <div class="field">
        <span aria-hidden="true">Seed</span>
        <div class="seed">
          <Typed
            label="Seed"
            inputMode="numeric"
            hint="A whole number below 2^64"
            value={picture.seed}
            accept={(text) => parseSeed(text) !== undefined}
            onCommit={(text) => dispatch({ type: 'picture', change: { seed: parseSeed(text)! } })}
          />
          <IconButton
            label="Random seed"
            disabled={seedLocked}
            onClick={() => dispatch({ type: 'picture', change: { seed: randomSeed() } })}
          >
            <Icon name="dice" />
          </IconButton>
          <IconButton label="Lock the seed" pressed={seedLocked} onClick={() => dispatch({ type: 'lock-seed' })}>
            <Icon name={seedLocked ? 'lock' : 'unlock'} />
          </IconButton>
        </div>
      </div>
    </section>
  );
}

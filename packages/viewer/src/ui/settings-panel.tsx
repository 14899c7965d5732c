/** How the picture is drawn. */
import { type SamplerName, samplerNames } from '@diffusion-soup/core';
import { useKitchen } from './context.js';
import { Field, Slider, Typed } from './fields.js';

const SIZE = /^\s*(\d{1,4})(?:\s*[x×]\s*(\d{1,4}))?\s*$/;
const MOST_STEPS = 50;

export function SettingsPanel() {
  const { state, dispatch, move, settle } = useKitchen();
  const { picture } = state.value.doc.present;
  const { steps, guidance, sampler, negative, width, height } = picture;
  return (
    <section class="panel settings" aria-labelledby="settings-title">
      <h2 id="settings-title">Drawing</h2>
      <div class="turn">
        <span aria-hidden="true">Steps</span>
        <Slider
          label="Steps"
          value={steps}
          min={1}
          max={Math.max(MOST_STEPS, steps)}
          step={1}
          onMove={(next) => move({ type: 'picture', change: { steps: next }, by: 'steps' })}
          onRest={settle}
        />
        <Typed
          class="number"
          label="Steps as a number"
          inputMode="numeric"
          value={String(steps)}
          accept={(text) => /^\d{1,3}$/.test(text.trim()) && Number(text) >= 1}
          onCommit={(text) => dispatch({ type: 'picture', change: { steps: Number(text) } })}
        />
      </div>
      <div class="turn">
        <span aria-hidden="true">Guidance</span>
        <Slider
          label="Guidance"
          value={guidance}
          max={Math.max(15, guidance)}
          step={0.5}
          onMove={(next) => move({ type: 'picture', change: { guidance: next }, by: 'guidance' })}
          onRest={settle}
        />
        <Typed
          class="number"
          label="Guidance as a number"
          value={String(guidance)}
          accept={(text) => text.trim() !== '' && Number(text) >= 0 && Number(text) <= 100}
          onCommit={(text) => dispatch({ type: 'picture', change: { guidance: Number(text) } })}
        />
      </div>
      <Field label="Sampler">
        <select
          value={sampler}
          onChange={({ currentTarget }) =>
            dispatch({ type: 'picture', change: { sampler: currentTarget.value as SamplerName } })
          }
        >
          {samplerNames.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Negative prompt">
        <input
          value={negative}
          autocomplete="off"
          onInput={({ currentTarget }) =>
            move({ type: 'picture', change: { negative: currentTarget.value }, by: 'negative' })
          }
          onChange={settle}
        />
      </Field>
      <div class="field">
        <span aria-hidden="true">Size in pixels</span>
        <Typed
          label="Size in pixels"
          inputMode="numeric"
          hint="128 or 192x128; nothing for the model's own"
          value={width && height ? `${width}x${height}` : ''}
          accept={(text) => text.trim() === '' || SIZE.test(text)}
          onCommit={(text) => {
            const [, w, h = w] = SIZE.exec(text) ?? [];
            dispatch({
              type: 'picture',
              change: { width: w ? Number(w) : undefined, height: h ? Number(h) : undefined },
            });
          }}
        />
      </div>
    </section>
  );
}

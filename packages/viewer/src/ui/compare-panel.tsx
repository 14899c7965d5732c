/** Pictures side by side: along a line, over two axes, and one over the other. */
import { useState } from 'preact/hooks';
import { keyOf } from '../state/document.js';
import { gridOf, type SheetKind, sweepOf } from '../state/sheet.js';
import { bestOf, pictureOf } from '../state/state.js';
import { useKitchen } from './context.js';
import { Still } from './still.js';
import { Wipe } from './wipe.js';

const SIZES = { sweep: [5, 7, 9], grid: [3, 4, 5] } as const;

export function ComparePanel() {
  const { state, dispatch } = useKitchen();
  const { doc, sheet, pinned } = state.value;
  const [kind, setKind] = useState<SheetKind>('sweep');
  const [count, setCount] = useState<number>(5);
  const { ingredients } = doc.present;
  const names = ingredients.map(({ name }) => name);
  // What is in the soup is what one wants to compare.
  const offered = [...ingredients.filter(({ on }) => on), ...ingredients.filter(({ on }) => !on)];
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const needed = kind === 'sweep' ? 2 : 3;
  const axes = Array.from({ length: needed }, (_, i) => (names.includes(chosen[i]!) ? chosen[i]! : offered[i]?.name));
  const isPossible = names.length >= needed && new Set(axes).size === needed;
  const make = () => {
    const of = kind === 'sweep' ? sweepOf : gridOf;
    dispatch({ type: 'sheet', sheet: of(doc.present, axes as string[], count) });
  };
  return (
    <section class="panel compare" aria-labelledby="compare-title">
      <div class="panel-head">
        <h2 id="compare-title">Compare</h2>
        {pinned ? (
          <button type="button" class="link" onClick={() => dispatch({ type: 'unpin' })}>
            Unpin A
          </button>
        ) : (
          <button type="button" class="link" onClick={() => dispatch({ type: 'pin' })}>
            Pin this as A
          </button>
        )}
      </div>
      {pinned && <Wipe a={pinned} b={doc.present} />}
      <div class="row sheet-controls">
        <select
          aria-label="Kind of sheet"
          value={kind}
          onChange={({ currentTarget }) => {
            const next = currentTarget.value as SheetKind;
            setKind(next);
            setCount(SIZES[next][0]);
          }}
        >
          <option value="sweep">Sweep</option>
          <option value="grid">Grid</option>
        </select>
        {axes.map((axis, i) => (
          <select
            key={String(i)}
            aria-label={['From', 'To', 'Down'][i]}
            value={axis}
            onChange={({ currentTarget }) => setChosen(axes.map((name, k) => (k === i ? currentTarget.value : name!)))}
          >
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        ))}
        <select
          aria-label="Pictures"
          value={count}
          onChange={({ currentTarget }) => setCount(Number(currentTarget.value))}
        >
          {SIZES[kind].map((size) => (
            <option key={size} value={size}>
              {kind === 'sweep' ? size : `${size} × ${size}`}
            </option>
          ))}
        </select>
        <button type="button" class="quiet" disabled={!isPossible} onClick={make}>
          Draw them
        </button>
        {sheet && (
          <button type="button" class="link" onClick={() => dispatch({ type: 'close-sheet' })}>
            Close
          </button>
        )}
      </div>
      {sheet && <p class="faint sheet-title">{sheet.title}</p>}
      {sheet && (
        <fieldset class="sheet" aria-label={sheet.title} style={{ '--columns': sheet.columns }}>
          {sheet.cells.map(({ label, doc: cell }) => {
            const drawn = bestOf(state.value, cell);
            const isHere = keyOf(cell, 'full') === keyOf(doc.present, 'full');
            return (
              <button
                key={label}
                type="button"
                class="cell"
                aria-pressed={isHere}
                aria-label={`${sheet.title}, ${label}`}
                onClick={() => dispatch({ type: 'take', doc: cell })}
              >
                <span class="frame">{drawn && <Still image={drawn.image} />}</span>
                <span class="faint">{label}</span>
              </button>
            );
          })}
        </fieldset>
      )}
    </section>
  );
}

/** The last pictures, newest first: each brings back its soup. */
export function Strip() {
  const { state, dispatch } = useKitchen();
  const full = state.value.pictures.filter(({ quality }) => quality === 'full');
  if (full.length < 2) return null;
  const now = pictureOf(state.value, keyOf(state.value.doc.present, 'full'));
  return (
    <nav class="strip" aria-label="Pictures made">
      {full
        .slice(-24)
        .reverse()
        .map((one, i) => (
          <button
            key={one.key}
            type="button"
            class="cell"
            aria-pressed={one === now}
            aria-label={`Picture ${full.length - i}: ${one.doc.picture.prompt}`}
            onClick={() => dispatch({ type: 'take', doc: one.doc })}
          >
            <span class="frame">
              <Still image={one.image} />
            </span>
          </button>
        ))}
    </nav>
  );
}

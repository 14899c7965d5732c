/** The picture, and what is going on with it. */
import { useEffect, useRef } from 'preact/hooks';
import { formula } from '../state/ingredients.js';
import { isDrawingThis, shownOf } from '../state/state.js';
import { useKitchen } from './context.js';
import { Still } from './still.js';

export function Stage({ onCanvas }: { onCanvas: (canvas: OffscreenCanvas | undefined) => void }) {
  const { state } = useKitchen();
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const { current } = canvas;
    onCanvas(current && 'transferControlToOffscreen' in current ? current.transferControlToOffscreen() : undefined);
  }, []);
  const { doc, machine, preview, painted, work } = state.value;
  const shown = shownOf(state.value);
  const isPaintedOn = isDrawingThis(state.value) && work?.key === painted;
  const still =
    machine?.painting === 'none'
      ? (preview ?? shown?.image)
      : shown?.key === painted || isPaintedOn
        ? undefined
        : shown?.image;
  const label = shown ? `${shown.doc.picture.prompt}: ${formula(shown.doc.ingredients)}` : 'No picture yet';
  return (
    <figure class="stage" data-drawn={shown?.key} data-quality={shown?.quality} data-empty={!shown && !painted}>
      <div class="plate">
        {/* The engine's: its size and pixels are not the page's to touch. */}
        <canvas ref={canvas} class="picture" role="img" aria-label={label} />
        {still && <Still image={still} class="picture over" />}
        {!shown && !painted && <p class="waiting">{work ? 'The first picture is on its way…' : 'Nothing drawn yet'}</p>}
      </div>
      <ProgressLine />
      <figcaption class="visually-hidden">
        {label}. {doc.present.picture.prompt}
      </figcaption>
    </figure>
  );
}

/** For eyes: it changes at every step. Screen readers are told at the end, by the live region. */
function ProgressLine() {
  const { state, dispatch } = useKitchen();
  const { work, isStopped, isReady, failure, models } = state.value;
  const shown = shownOf(state.value);
  const took = shown && `${shown.quality === 'full' ? 'Drawn' : 'Sketched'} in ${shown.seconds.toFixed(1)} s`;
  const idle = failure
    ? ''
    : isStopped
      ? 'Stopped'
      : isReady || models.length === 0
        ? (took ?? '')
        : 'Opening the models';
  return (
    <div class="progress-line">
      <div class="track" data-busy={work !== undefined}>
        <div class="done" style={{ transform: `scaleX(${work?.part ?? 0})` }} />
      </div>
      <p>
        <span>{work ? work.label : idle}</span>
        <span class="faint" data-testid="detail">
          {work?.detail}
        </span>
        {work && (
          <button type="button" class="link" onClick={() => dispatch({ type: 'stop' })}>
            Cancel
          </button>
        )}
        {!work && isStopped && (
          <button type="button" class="link" onClick={() => dispatch({ type: 'redraw' })}>
            Draw
          </button>
        )}
      </p>
    </div>
  );
}

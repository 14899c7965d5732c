/** Picture, recipe, link, command, merged model. */
import { formatBytes } from '@diffusion-soup/core';
import { useRef } from 'preact/hooks';
import { current, linkOf, saveMerged, savePicture, saveRecipe } from '../saving.js';
import { generateCommand, mergeCommand } from '../state/export.js';
import { useKitchen } from './context.js';
import { Icon } from './icons.js';

export function SaveMenu() {
  const kitchen = useKitchen();
  const { state, dispatch } = kitchen;
  const dialog = useRef<HTMLDialogElement>(null);
  const { doc, merging, merged } = state.value;
  const say = (notice: string) => dispatch({ type: 'notice', notice });
  const attempt = (work: () => Promise<unknown>) => () => {
    work().catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
  };
  const copy = (text: () => string, what: string) =>
    attempt(async () => {
      await navigator.clipboard.writeText(text());
      say(`${what} copied.`);
    });
  const hasSoup = doc.present.ingredients.some(({ on }) => on);
  return (
    <>
      <button type="button" class="save" onClick={() => dialog.current?.showModal()}>
        <Icon name="save" /> Save
      </button>
      <dialog ref={dialog} aria-labelledby="save-title">
        <h2 id="save-title">Save and share</h2>
        <ul class="plain choices">
          <Choice text="Everything it was made of is written inside, as the command line does.">
            <button type="button" disabled={!current(state.value)} onClick={attempt(() => savePicture(kitchen))}>
              Picture
            </button>
          </Choice>
          <Choice text="What goes in, and how much: for soup merge, or to drop here again.">
            <button type="button" class="quiet" disabled={!hasSoup} onClick={() => saveRecipe(kitchen, 'yaml')}>
              Recipe as YAML
            </button>
            <button type="button" class="quiet" disabled={!hasSoup} onClick={() => saveRecipe(kitchen, 'json')}>
              Recipe as JSON
            </button>
          </Choice>
          <Choice text="Opens this page with this very picture.">
            <button type="button" class="quiet" onClick={copy(() => linkOf(state.value), 'Link')}>
              Copy link
            </button>
          </Choice>
          <Choice text={generateCommand(doc.present)} isCode>
            <button type="button" class="quiet" onClick={copy(() => generateCommand(doc.present), 'Command')}>
              Copy command
            </button>
          </Choice>
          <Choice text="One safetensors file of all parts, averaged exactly.">
            <button
              type="button"
              class="quiet"
              disabled={!hasSoup || !!merging}
              onClick={attempt(() => saveMerged(kitchen))}
            >
              Merged model
            </button>
          </Choice>
        </ul>
        {merging && (
          <p class="row">
            <progress aria-label="Merging" value={merging.part ?? 0} />
            <span class="faint">{merging.detail}</span>
            <button type="button" class="link" onClick={() => kitchen.cancelMerge()}>
              Cancel
            </button>
          </p>
        )}
        {merged && (
          <div class="merged">
            <p>Saved, {formatBytes(merged.bytes)}. SHA-256:</p>
            <code data-testid="hash">{merged.hash}</code>
            <p class="faint">
              The same bytes as <code>{mergeCommand(doc.present)}</code>
            </p>
          </div>
        )}
        <form method="dialog">
          <button type="submit" class="quiet">
            Close
          </button>
        </form>
      </dialog>
    </>
  );
}

function Choice({ text, isCode, children }: { text: string; isCode?: boolean; children: preact.ComponentChildren }) {
  return (
    <li>
      <div class="row">{children}</div>
      {isCode ? <code>{text}</code> : <p class="faint">{text}</p>}
    </li>
  );
}

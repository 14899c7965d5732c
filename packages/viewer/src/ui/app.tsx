/** The page as a whole. */
import { useEffect, useState } from 'preact/hooks';
import { dropped } from '../adding.js';
import { restoreFile } from '../opening.js';
import { SpacePanel } from '../space/space-panel.js';
import { addPlaces } from './add-model.js';
import { ComparePanel, Strip } from './compare-panel.js';
import { useKitchen } from './context.js';
import { LoadQuestion } from './dialogs.js';
import { FailurePanel } from './failure.js';
import { IconButton } from './fields.js';
import { Icon, Logo } from './icons.js';
import { IngredientsPanel } from './ingredients-panel.js';
import { MachineLine } from './machine-line.js';
import { PickedAgain } from './picked-again.js';
import { Prompt } from './prompt.js';
import { SaveMenu } from './save-menu.js';
import { SettingsPanel } from './settings-panel.js';
import { Stage } from './stage.js';
import { ThemeSwitch } from './theme.js';

export function App({ onCanvas }: { onCanvas: (canvas: OffscreenCanvas | undefined) => void }) {
  const { state } = useKitchen();
  const isOver = useWholePage();
  return (
    <div class="page" data-over={isOver}>
      <Header />
      <main>
        <div class="centre">
          <Stage onCanvas={onCanvas} />
          <FailurePanel />
          <PickedAgain />
          <Prompt />
          <Strip />
        </div>
        <div class="left">
          <IngredientsPanel />
        </div>
        <div class="right">
          <SpacePanel />
          <SettingsPanel />
        </div>
        <ComparePanel />
      </main>
      <MachineLine />
      <LoadQuestion />
      <p class="visually-hidden" role="status" data-testid="said">
        {state.value.said}
      </p>
      <div class="swatches" hidden>
        <i class="ink" />
        <i class="ground" />
        {Array.from({ length: 8 }, (_, i) => (
          <i key={String(i)} class={`hue-${i}`} />
        ))}
      </div>
      {isOver && <p class="drop-hint">Drop models, recipes or pictures</p>}
    </div>
  );
}

function Header() {
  const { state, dispatch } = useKitchen();
  const { past, future } = state.value.doc;
  return (
    <header class="bar">
      <h1>
        <Logo /> Diffusion Soup
      </h1>
      <IconButton label="Undo" disabled={past.length === 0} onClick={() => dispatch({ type: 'undo' })}>
        <Icon name="undo" />
      </IconButton>
      <IconButton label="Redo" disabled={future.length === 0} onClick={() => dispatch({ type: 'redo' })}>
        <Icon name="redo" />
      </IconButton>
      <ThemeSwitch />
      <SaveMenu />
    </header>
  );
}

/** Keys and drops that belong to no control. */
function useWholePage(): boolean {
  const kitchen = useKitchen();
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const { dispatch, state } = kitchen;
    const onKeyDown = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLInputElement && event.target.type !== 'range';
      if (event.key === 'Escape' && state.value.work && !document.querySelector('dialog[open]'))
        dispatch({ type: 'stop' });
      if (isTyping || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z') return;
      event.preventDefault();
      dispatch({ type: event.shiftKey ? 'redo' : 'undo' });
    };
    const onDragOver = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      setOver(true);
    };
    const onDragLeave = (event: DragEvent) => event.relatedTarget === null && setOver(false);
    const onDrop = async (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      setOver(false);
      try {
        const { models, recipes } = await dropped(event.dataTransfer);
        addPlaces(kitchen, models);
        for (const file of recipes) await restoreFile(kitchen, file.name, new Uint8Array(await file.arrayBuffer()));
        if (models.length + recipes.length === 0) throw new Error('None of that is a model, a recipe or a picture.');
      } catch (error) {
        dispatch({ type: 'notice', notice: (error as Error).message });
      }
    };
    addEventListener('keydown', onKeyDown);
    addEventListener('dragover', onDragOver);
    addEventListener('dragleave', onDragLeave);
    addEventListener('drop', onDrop);
    return () => {
      removeEventListener('keydown', onKeyDown);
      removeEventListener('dragover', onDragOver);
      removeEventListener('dragleave', onDragLeave);
      removeEventListener('drop', onDrop);
    };
  }, []);
  return isOver;
}

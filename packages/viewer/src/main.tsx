/** Starts the page: the state, its engine, and what was there before. */
import { effect } from '@preact/signals';
import { render } from 'preact';
import './styles/tokens.css';
import './styles/layout.css';
import './styles/controls.css';
import './styles/panels.css';
import './styles/space.css';
import { startEngine } from './engine-client.js';
import { releaseWhenHidden } from './leaving.js';
import { open, pageAddress, restoreInto, save, takeLinked, takeToken } from './opening.js';
import { Kitchen } from './state/kitchen.js';
import { App } from './ui/app.js';
import { KitchenContext } from './ui/context.js';

const token = takeToken();
const kitchen = new Kitchen(startEngine());

function start(canvas: OffscreenCanvas | undefined): void {
  kitchen.order({ type: 'start', canvas, token, page: pageAddress() });
  kitchen.order({ type: 'cache', action: 'info' });
  void open(kitchen, token).then(keepState);
  releaseWhenHidden(kitchen);
}

/** For the next visit, and while it goes on: also while a picture is drawn, when something changes all the time. */
function keepState(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const keep = () => {
    clearTimeout(timer);
    timer = undefined;
    save(kitchen.state.peek());
  };
  effect(() => {
    void kitchen.state.value;
    timer ??= setTimeout(keep, 500);
  });
  addEventListener('pagehide', keep);
  addEventListener('hashchange', () => {
    const linked = takeLinked();
    if (linked) restoreInto(kitchen, linked);
  });
}

effect(() => {
  const { work } = kitchen.state.value;
  document.title = work ? `${work.label} · Diffusion Soup` : 'Diffusion Soup';
});

render(
  <KitchenContext.Provider value={kitchen}>
    <App onCanvas={start} />
  </KitchenContext.Provider>,
  document.querySelector('#app')!,
);

// Of the built page alone: while developing, old files must not come back.
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  navigator.serviceWorker.register(new URL('service-worker.js', pageAddress())).catch(() => {}); // the page works without
}

/** What leaves the page: files that the visitor asks for. */
import { keyOf } from './state/document.js';
import { recipeText, recipeYaml } from './state/export.js';
import { formatFragment } from './state/fragment.js';
import type { Kitchen } from './state/kitchen.js';
import { pictureOf, type State } from './state/state.js';

export const current = (state: State) => pictureOf(state, keyOf(state.doc.present, 'full'));

export async function savePicture(kitchen: Kitchen): Promise<void> {
  const shown = current(kitchen.state.value);
  if (!shown) throw new Error('There is no finished picture of this soup yet.');
  const events = await kitchen.ask({ type: 'picture-file', key: shown.key });
  for (const event of events) {
    if (event.type === 'picture-file') {
      download(
        new Blob([event.png], { type: 'image/png' }),
        `${plainName(shown.doc.picture.prompt)}-${shown.doc.picture.seed}.png`,
      );
    }
  }
}

export function saveRecipe({ state }: Kitchen, format: 'yaml' | 'json'): void {
  const doc = state.value.doc.present;
  const text = format === 'yaml' ? recipeYaml(doc) : recipeText(doc);
  download(new Blob([text], { type: format === 'yaml' ? 'application/yaml' : 'application/json' }), `soup.${format}`);
}

export const linkOf = ({ doc }: State): string =>
  new URL(location.pathname + formatFragment(doc.present), location.href).href;

/** Streamed to where the visitor wants it, or into a file of the browser's own that is then downloaded. */
export async function saveMerged(kitchen: Kitchen): Promise<void> {
  const doc = kitchen.state.value.doc.present;
  let target: FileSystemFileHandle | undefined;
  if ('showSaveFilePicker' in window) {
    const pick = window.showSaveFilePicker as (options: object) => Promise<FileSystemFileHandle>;
    try {
      target = await pick({ suggestedName: 'soup.safetensors' });
    } catch (error) {
      if ((error as DOMException).name === 'AbortError') return; // changed their mind
    }
  }
  const events = await kitchen.merge(doc, target);
  for (const event of events) if (event.type === 'merged' && event.file) download(event.file, 'soup.safetensors');
}

function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be asking where to
}

const plainName = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/[^\w]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60) || 'picture';

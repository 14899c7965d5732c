/** What the page begins with: what is beside it, what the address says, and what was there at the last visit. */
import type { Listing, ModelReference, Restored } from './messages.js';
import { browserHandles, type Closed, type Handle, pickedOf, reopened } from './picked.js';
import { type Doc, EMPTY } from './state/document.js';
import { parseFragment } from './state/fragment.js';
import type { Ingredient } from './state/ingredients.js';
import type { Kitchen } from './state/kitchen.js';
import { firstDoc, parseListing, referencesOf } from './state/listing.js';
import { restoredDoc } from './state/reducer.js';
import type { State } from './state/state.js';

const TOKEN = 'token';
const SAVED = 'diffusion-soup';
const LISTING = 'diffusion-soup-models';

/** Of the server, kept for this tab and taken out of the address, where others might see it. */
export function takeToken(): string | undefined {
  const fields = location.hash.replace(/^#/, '').split('&');
  const token = fields.find((field) => field.startsWith('token='))?.slice('token='.length);
  if (token) {
    sessionStorage.setItem(TOKEN, token);
    const rest = fields.filter((field) => !field.startsWith('token=')).join('&');
    history.replaceState(null, '', location.pathname + location.search + (rest && `#${rest}`));
  }
  return token ?? sessionStorage.getItem(TOKEN) ?? undefined;
}

export const pageAddress = (): string => new URL('.', location.href).href;

async function fetchListing(token: string | undefined): Promise<Listing | undefined> {
  try {
    const headers: HeadersInit = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(new URL('models.json', pageAddress()), { headers });
    if (!response.ok) return undefined;
    const text = await response.text();
    keep(LISTING, text);
    return parseListing(JSON.parse(text));
  } catch {
    return keptListing();
  }
}

/** Without a network: what the last visit found, whose models the engine has copies of. */
function keptListing(): Listing | undefined {
  try {
    return parseListing(JSON.parse(localStorage.getItem(LISTING) ?? ''));
  } catch {
    return undefined;
  }
}

function keep(name: string, text: string): void {
  try {
    localStorage.setItem(name, text);
  } catch {
    // Private windows and full disks: the page works without.
  }
}

/** A recipe in the address comes first, then the server's, then the last visit, then the pantry in equal parts. */
export async function open(kitchen: Kitchen, token: string | undefined): Promise<void> {
  const listing = (await fetchListing(token)) ?? { models: [] };
  const saved = load();
  const listed = referencesOf(listing);
  const isFree = ({ name }: { name: string }) => !listed.some((one) => one.name === name);
  const picked = await reopened((saved?.picked ?? []).filter(isFree), browserHandles);
  const models = [...listed, ...(saved?.models ?? []).filter(isFree), ...picked.models];
  const { dispatch } = kitchen;
  const linked = takeLinked();
  const doc = docFrom(firstDoc(listing), models, saved?.doc);
  // What a link says is what there is to begin with: nothing else is drawn before, or undone to.
  dispatch({ type: 'begin', doc: linked ? restoredDoc(doc, linked, models) : doc, models });
  if (picked.closed.length > 0) dispatch({ type: 'closed', closed: picked.closed });
  if (linked) tellUnknown(kitchen, linked);
  else if (listing.recipe) {
    const { name, text } = listing.recipe;
    await restoreFile(kitchen, name, new TextEncoder().encode(text)).catch((error: Error) =>
      dispatch({ type: 'notice', notice: error.message }),
    );
  }
}

/** The last visit's, as far as its models are still there. */
function docFrom(first: Doc, models: readonly ModelReference[], saved?: Doc): Doc {
  if (!saved) return first;
  const isKnown = ({ name }: Pick<Ingredient, 'name'>) => models.some((model) => model.name === name);
  const kept = saved.ingredients.filter(isKnown);
  const fresh = first.ingredients.filter(({ name }) => !kept.some((one) => one.name === name));
  if (!kept.some(({ on }) => on)) return first;
  const base = saved.base !== undefined && isKnown({ name: saved.base }) ? saved.base : first.base;
  return { ...first, ...saved, ingredients: [...kept, ...fresh.map((one) => ({ ...one, on: false }))], base };
}

export function takeLinked(): Restored | undefined {
  const restored = parseFragment(location.hash);
  // What changes from here on is not what the link says.
  if (restored) history.replaceState(null, '', location.pathname + location.search);
  return restored;
}

export function restoreInto(kitchen: Kitchen, restored: Restored): void {
  kitchen.dispatch({ type: 'restore', restored });
  tellUnknown(kitchen, restored);
}

function tellUnknown({ dispatch, state }: Kitchen, { portions }: Restored): void {
  const unknown = portions.filter(({ name }) => !state.value.models.some((model) => model.name === name));
  if (unknown.length === 0) return;
  const names = unknown.map(({ name }) => name).join(', ');
  const it = unknown.length === 1 ? 'it' : 'them';
  dispatch({ type: 'notice', notice: `Not here: ${names}. Add ${it} under “Add a model”, and restore again.` });
}

/** A picture or a recipe: everything that it says of how it was made. */
export async function restoreFile(kitchen: Kitchen, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const events = await kitchen.ask({ type: 'restore', name, bytes });
  for (const event of events) if (event.type === 'restored') restoreInto(kitchen, event.restored);
}

interface Saved {
  readonly doc: Doc;
  readonly models: readonly ModelReference[];
  /** Of this computer; their handles lie elsewhere. */
  readonly picked?: readonly Closed[];
}

let keptHandles: ReadonlyMap<string, Handle> = new Map();

export function save(state: State): void {
  const named = state.models.filter(({ place }) => place.type === 'url' || place.type === 'hub');
  const picked = pickedOf(state);
  const plain = picked.map(({ name, weight, on }) => ({ name, weight, on }));
  keep(SAVED, JSON.stringify({ doc: state.doc.present, models: named, picked: plain } satisfies Saved));
  const handles = new Map(picked.flatMap(({ name, handle }) => (handle ? [[name, handle] as const] : [])));
  const isSame =
    handles.size === keptHandles.size && [...handles].every(([name, one]) => keptHandles.get(name) === one);
  if (isSame) return;
  keptHandles = handles;
  browserHandles.keep(handles).catch(() => {}); // then they are picked again
}

function load(): Saved | undefined {
  try {
    const { doc, models, picked } = JSON.parse(localStorage.getItem(SAVED) ?? '') as Saved;
    const picture = { ...EMPTY.picture, ...doc.picture };
    return Array.isArray(doc.ingredients) && Array.isArray(models)
      ? { doc: { ...doc, picture }, models, picked: Array.isArray(picked) ? picked : [] }
      : undefined;
  } catch {
    return undefined;
  }
}

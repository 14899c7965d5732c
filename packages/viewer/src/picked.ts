/**
 * Models that were picked or dropped from this computer, over a reload: the browser keeps the handles that it gave, and asks
 * again before it lets them be read. Where it gives none, they have to be picked again.
 */
import type { ModelPlace, ModelReference } from './messages.js';
import type { Ingredient } from './state/ingredients.js';
import type { State } from './state/state.js';

/** A handle of the browser's, with what TypeScript does not know of it. */
export type Handle = (FileSystemDirectoryHandle | FileSystemFileHandle) & {
  queryPermission?(of: { mode: 'read' }): Promise<PermissionState>;
  requestPermission?(of: { mode: 'read' }): Promise<PermissionState>;
};

/** A model of the last visit that cannot be read as yet. */
export interface Closed extends Pick<Ingredient, 'name' | 'weight' | 'on'> {
  /** Undefined where it has to be picked again. */
  readonly handle?: Handle;
}

export interface Handles {
  all(): Promise<ReadonlyMap<string, Handle>>;
  /** These, and no others. */
  keep(handles: ReadonlyMap<string, Handle>): Promise<void>;
}

export const handleOf = (place: ModelPlace): Handle | undefined =>
  place.type === 'directory' || place.type === 'file' ? (place.handle as Handle | undefined) : undefined;

const isPicked = ({ place }: ModelReference): boolean => ['directory', 'file', 'files'].includes(place.type);

/** What to remember of the models that lie on this computer. */
export function pickedOf({ models, doc, closed = [] }: Pick<State, 'models' | 'doc' | 'closed'>): Closed[] {
  const rows = doc.present.ingredients;
  const open = models.filter(isPicked).flatMap(({ name, place }): Closed[] => {
    const row = rows.find((one) => one.name === name);
    const handle = handleOf(place);
    return row ? [{ name, weight: row.weight, on: row.on, ...(handle && { handle }) }] : [];
  });
  return [...open, ...closed.filter(({ name }) => !models.some((model) => model.name === name))];
}

/** Which of them can be read at once, and which are closed. */
export async function reopened(picked: readonly Closed[], handles: Handles) {
  const known = picked.length > 0 ? await handles.all().catch(() => new Map<string, Handle>()) : new Map();
  const models: ModelReference[] = [];
  const closed: Closed[] = [];
  for (const { name, weight, on } of picked) {
    const handle: Handle | undefined = known.get(name);
    const isOpen = handle && (await permission(handle, 'query')) === 'granted';
    const model = isOpen && (await referenceTo(name, handle));
    if (model) models.push(model);
    else closed.push({ name, weight, on, ...(handle && !isOpen && { handle }) });
  }
  return { models, closed };
}

/** Asks for them, in answer to a click; what is refused, or gone, is not among them. */
export async function openAgain(closed: readonly Closed[]): Promise<ModelReference[]> {
  const models: ModelReference[] = [];
  for (const { name, handle } of closed) {
    if (!handle || (await permission(handle, 'request')) !== 'granted') continue;
    const model = await referenceTo(name, handle);
    if (model) models.push(model);
  }
  return models;
}

/** Where a browser has no such question, there is nothing to ask. */
const permission = async (handle: Handle, how: 'query' | 'request'): Promise<PermissionState> =>
  (await handle[`${how}Permission`]?.({ mode: 'read' }).catch(() => 'denied' as const)) ?? 'granted';

/** Undefined when it is not there any more. */
async function referenceTo(name: string, handle: Handle): Promise<ModelReference | undefined> {
  try {
    if (handle.kind === 'file') return { name, place: { type: 'file', file: await handle.getFile(), handle } };
    for await (const _ of (handle as unknown as { keys(): AsyncIterable<string> }).keys()) break;
    return { name, place: { type: 'directory', handle } };
  } catch {
    return undefined;
  }
}

const STORE = 'handles';

/** In IndexedDB, which alone can hold them. */
export const browserHandles: Handles = {
  async all() {
    const store = await open('readonly');
    const [names, handles] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    return new Map(names.map((name, i) => [String(name), handles[i] as Handle]));
  },
  async keep(handles) {
    const store = await open('readwrite');
    store.clear();
    const last = [...handles].map(([name, handle]) => done(store.put(handle, name)));
    await Promise.all(last);
  },
};

async function open(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const request = indexedDB.open('diffusion-soup', 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const database = await done(request);
  const transaction = database.transaction(STORE, mode);
  transaction.oncomplete = () => database.close();
  return transaction.objectStore(STORE);
}

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

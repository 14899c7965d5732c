/** Models of the visitor's own: files, folders, an address or a Hugging Face id. */
import { useRef, useState } from 'preact/hooks';
import { placeOf, placeOfFiles, referenceOf } from '../adding.js';
import type { ModelPlace } from '../messages.js';
import type { Kitchen } from '../state/kitchen.js';
import { useKitchen } from './context.js';
import { Icon } from './icons.js';

export function addPlaces({ state, dispatch }: Kitchen, places: readonly ModelPlace[]): void {
  const taken = state.value.models.map(({ name }) => name);
  const models = places.map((place) => {
    const model = referenceOf(place, taken);
    taken.push(model.name);
    return model;
  });
  if (models.length > 0) dispatch({ type: 'add', models });
}

export function AddModel() {
  const kitchen = useKitchen();
  const [address, setAddress] = useState('');
  const [isWrong, setWrong] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const pickFiles = async () => {
    if (!('showOpenFilePicker' in window)) return files.current?.click();
    const pick = window.showOpenFilePicker as (options: object) => Promise<FileSystemFileHandle[]>;
    const types = [{ description: 'Models', accept: { 'application/octet-stream': ['.safetensors'] } }];
    const handles = await pick({ multiple: true, types }).catch(() => []); // nothing was picked
    const places = handles.map(async (handle) => ({ type: 'file', file: await handle.getFile(), handle }) as const);
    addPlaces(kitchen, await Promise.all(places));
  };
  const pickFolder = async () => {
    if (!('showDirectoryPicker' in window)) return folder.current?.click();
    const pick = window.showDirectoryPicker as () => Promise<FileSystemDirectoryHandle>;
    const handle = await pick().catch(() => undefined); // nothing was picked
    if (handle) addPlaces(kitchen, [{ type: 'directory', handle }]);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const place = placeOf(address);
    setWrong(!place);
    if (!place) return;
    addPlaces(kitchen, [place]);
    setAddress('');
  };
  const absent = kitchen.state.value.models.filter(
    ({ name }) => !kitchen.state.value.doc.present.ingredients.some((one) => one.name === name),
  );
  return (
    <details class="add">
      <summary>
        <Icon name="plus" /> Add a model
      </summary>
      <p class="faint">Your files stay on this computer: nothing is uploaded.</p>
      <div class="row">
        <button type="button" class="quiet" onClick={pickFiles}>
          File…
        </button>
        <button type="button" class="quiet" onClick={pickFolder}>
          Folder…
        </button>
      </div>
      <input
        ref={files}
        type="file"
        accept=".safetensors"
        multiple
        hidden
        aria-label="Model files"
        onChange={({ currentTarget }) => {
          addPlaces(
            kitchen,
            [...(currentTarget.files ?? [])].map((file) => ({ type: 'file', file })),
          );
          currentTarget.value = '';
        }}
      />
      <input
        ref={folder}
        type="file"
        {...{ webkitdirectory: true }}
        hidden
        aria-label="Model folder"
        onChange={({ currentTarget }) => {
          if (currentTarget.files?.length) addPlaces(kitchen, [placeOfFiles([...currentTarget.files])]);
        }}
      />
      <form class="row" onSubmit={submit}>
        <input
          aria-label="Address or Hugging Face id"
          placeholder="owner/name or https://…"
          value={address}
          aria-invalid={isWrong}
          onInput={({ currentTarget }) => setAddress(currentTarget.value)}
        />
        <button type="submit" class="quiet">
          Add
        </button>
      </form>
      {isWrong && <p class="problem">That is no https address and no id such as owner/name.</p>}
      {absent.length > 0 && (
        <p class="row">
          {absent.map(({ name, place }) => (
            <button
              key={name}
              type="button"
              class="quiet"
              onClick={() => kitchen.dispatch({ type: 'add', models: [{ name, place }] })}
            >
              {name}
            </button>
          ))}
        </p>
      )}
    </details>
  );
}

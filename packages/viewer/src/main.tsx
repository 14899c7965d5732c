/** The page: weights, prompt, picture. All computing is in the worker. */
import { computed, effect, signal } from '@preact/signals';
import { render } from 'preact';
import type { DrawRequest, Progress } from './messages.js';

const SHARDS = ['noto', 'twemoji', 'fluent', 'ink'];

const weights = Object.fromEntries(SHARDS.map((name) => [name, signal(1)]));
const prompt = signal('cat face');
const negative = signal('');
const seed = signal(42);
const steps = signal(12);
const guidance = signal(4);
const status = signal('');
const failure = signal('');
const progress = signal(0);
const isDrawing = signal(false);

const formula = computed(() => {
  const used = SHARDS.filter((name) => weights[name]!.value > 0);
  const sum = used.reduce((total, name) => total + weights[name]!.value, 0);
  return used.map((name) => `${(weights[name]!.value / sum).toFixed(2)} ${name}`).join(' + ') || 'nothing';
});

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
let latest = 0;

worker.onmessage = ({ data }: MessageEvent<Progress>) => {
  if (data.id !== latest) return; // of a request that a newer one has replaced
  if (data.type === 'loading') {
    status.value = `loading ${data.part}`;
    progress.value = data.done / data.total;
  } else if (data.type === 'step') {
    status.value = `step ${data.step} of ${data.steps}`;
    progress.value = data.step / data.steps;
  } else {
    isDrawing.value = false;
    status.value = '';
    progress.value = 0;
    if (data.type === 'failed') failure.value = data.message;
    else paint(data.width, data.height, data.pixels);
  }
};

function draw(): void {
  failure.value = '';
  isDrawing.value = true;
  status.value = 'starting';
  const request: DrawRequest = {
    id: ++latest,
    weights: Object.fromEntries(SHARDS.map((name) => [name, weights[name]!.value])),
    prompt: prompt.value,
    negative: negative.value,
    seed: seed.value,
    steps: steps.value,
    guidance: guidance.value,
  };
  worker.postMessage(request);
}

const canvas = () => document.querySelector('canvas')!;

function paint(width: number, height: number, pixels: Uint8Array): void {
  Object.assign(canvas(), { width, height });
  const image = new ImageData(Uint8ClampedArray.from(pixels), width, height);
  canvas().getContext('2d')!.putImageData(image, 0, 0);
  canvas().dataset.drawn = `${latest}`;
}

function save(): void {
  const link = document.createElement('a');
  link.download = `${prompt.value.replace(/\W+/g, '-') || 'picture'}-${seed.value}.png`;
  link.href = canvas().toDataURL('image/png');
  link.click();
}

const number = (event: Event) => Number((event.currentTarget as HTMLInputElement).value);
const text = (event: Event) => (event.currentTarget as HTMLInputElement).value;

function Weight({ name }: { name: string }) {
  const weight = weights[name]!;
  const set = (event: Event) => {
    weight.value = number(event);
  };
  return (
    <label class="weight">
      <span>{name}</span>
      <input type="range" min="0" max="2" step="0.05" value={weight} onInput={set} aria-label={`weight of ${name}`} />
      <output>{weight.value.toFixed(2)}</output>
    </label>
  );
}

function NumberField({
  label,
  value,
  ...range
}: {
  label: string;
  value: typeof seed;
  min: number;
  max: number;
  step: number;
}) {
  return (
    <label>
      <span>{label}</span>
      <input
        type="number"
        {...range}
        value={value.value}
        onInput={(event) => {
          value.value = number(event);
        }}
      />
    </label>
  );
}

function App() {
  return (
    <main>
      <header>
        <h1>Diffusion Soup</h1>
        <p>Four emoji styles, one average. Everything is computed on your own GPU.</p>
      </header>
      <section class="picture">
        <canvas width="128" height="128" aria-label="the picture" />
        <div class="bar" style={{ '--done': progress.value }} role="status">
          {status}
        </div>
        {failure.value && <p role="alert">{failure}</p>}
      </section>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          draw();
        }}
      >
        <fieldset>
          <legend>Soup</legend>
          {SHARDS.map((name) => (
            <Weight key={name} name={name} />
          ))}
          <p class="formula">{formula}</p>
        </fieldset>
        <label>
          <span>Prompt</span>
          <input
            value={prompt}
            name="prompt"
            onInput={(event) => {
              prompt.value = text(event);
            }}
          />
        </label>
        <label>
          <span>Without</span>
          <input
            value={negative}
            name="negative"
            onInput={(event) => {
              negative.value = text(event);
            }}
          />
        </label>
        <div class="row">
          <NumberField label="Seed" value={seed} min={0} max={2 ** 53 - 1} step={1} />
          <NumberField label="Steps" value={steps} min={1} max={100} step={1} />
          <NumberField label="Guidance" value={guidance} min={1} max={20} step={0.5} />
        </div>
        <div class="row">
          <button type="submit">{isDrawing.value ? 'Start over' : 'Draw'}</button>
          <button type="button" class="quiet" onClick={save}>
            Save PNG
          </button>
        </div>
      </form>
    </main>
  );
}

render(<App />, document.querySelector('#app')!);
effect(() => {
  document.title = isDrawing.value ? `${status.value} · Diffusion Soup` : 'Diffusion Soup';
});

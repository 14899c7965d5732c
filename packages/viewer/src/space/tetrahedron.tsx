/** A point in a tetrahedron. Drag the point, or drag beside it to turn the whole; every key has its button below. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { towards } from '../state/barycentric.js';
import { useKitchen } from '../ui/context.js';
import { Slider } from '../ui/fields.js';
import { isDark } from '../ui/theme.js';
import { madeIn } from './made.js';
import { openScene, type Scene } from './scene.js';
import { type SpaceProps, spoken } from './space-panel.js';
import { dragged, type Orbit, placeOnScreen, turned } from './view.js';

const GRAB = 26; // pixels around the point, for a finger
const TURN = 0.12;

export function Tetrahedron({ corners, weights, onPlace, onRest }: SpaceProps) {
  const { state } = useKitchen();
  const canvas = useRef<HTMLCanvasElement>(null);
  const scene = useRef<Scene | undefined>(undefined);
  const held = useRef<'point' | 'space' | undefined>(undefined);
  const [orbit, setOrbit] = useState<Orbit>({ yaw: 0.5, pitch: 0.35 });
  const [missing, setMissing] = useState(false);
  useSceneWhileVisible(canvas, scene, setMissing);
  const made = madeIn(
    state.value,
    corners.map(({ name }) => name),
  );
  void isDark.value; // other colours are another picture
  useEffect(() => scene.current?.draw({ orbit, weights, hues: corners.map(({ hue }) => hue), made }));

  const onPointerDown = (event: PointerEvent & { currentTarget: HTMLCanvasElement }) => {
    const { width, height, left, top } = event.currentTarget.getBoundingClientRect();
    const [x, y] = placeOnScreen(orbit, weights, { width, height });
    const isNear = Math.hypot(event.clientX - left - x, event.clientY - top - y) < GRAB;
    held.current = isNear ? 'point' : 'space';
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const onPointerMove = (event: PointerEvent & { currentTarget: HTMLCanvasElement }) => {
    const { clientWidth: width, clientHeight: height } = event.currentTarget;
    const by = { x: event.movementX, y: event.movementY };
    if (held.current === 'point') onPlace(dragged(orbit, weights, by, { width, height }));
    if (held.current === 'space') setOrbit(turned(orbit, by.x * 0.01, by.y * 0.01));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const corner = ['Digit1', 'Digit2', 'Digit3', 'Digit4'].indexOf(event.code);
    if (!by && corner < 0) return;
    event.preventDefault();
    if (!by) onPlace(towards(weights, corner, event.shiftKey ? -0.1 : 0.1));
    else if (event.shiftKey) setOrbit(turned(orbit, by[0]! * TURN, by[1]! * TURN));
    else onPlace(dragged(orbit, weights, { x: by[0]! * 4, y: by[1]! * 4 }, { width: 300, height: 300 }));
  };
  return (
    <div class="tetrahedron">
      {missing && (
        <p class="faint">The space is drawn with WebGPU, which this browser lacks. These sliders go the same ways.</p>
      )}
      {!missing && (
        <div class="space-frame">
          {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: a slider in three dimensions has no element */}
          <canvas
            ref={canvas}
            class="space-canvas"
            tabIndex={0}
            role="application"
            aria-roledescription="blend space"
            aria-label={`Blend of ${corners.map(({ name }) => name).join(', ')}: ${spoken(corners, weights)}. Arrow keys move it, with Shift they turn the space, 1 to 4 pull towards a corner.`}
            {...{ onPointerDown, onPointerMove, onKeyDown }}
            onPointerUp={() => {
              held.current = undefined;
              onRest();
            }}
            onKeyUp={onRest}
          />
          {corners.map(({ name }, i) => (
            <span key={name} class="corner-name" aria-hidden="true" style={cornerStyle(orbit, i)}>
              {name}
            </span>
          ))}
        </div>
      )}
      <ul class="plain pulls">
        {corners.map(({ name, hue }, i) => (
          <li key={name} class={`hue-${hue}`}>
            <span aria-hidden="true">{name}</span>
            <Slider
              label={`Towards ${name}`}
              value={weights[i]!}
              max={1}
              step={0.01}
              text={`${Math.round(weights[i]! * 100)} percent`}
              onMove={(next) => onPlace(towards(weights, i, next - weights[i]!))}
              onRest={onRest}
            />
          </li>
        ))}
      </ul>
    </div>
  );
}

/** In parts of the canvas, whose shape the style sheet says. */
function cornerStyle(orbit: Orbit, corner: number) {
  const [width, height] = [115, 100];
  const alone = [0, 0, 0, 0].map((_, i) => (i === corner ? 1 : 0));
  const [x, y] = placeOnScreen(orbit, alone, { width, height });
  return { left: `${(x / width) * 100}%`, top: `${(y / height) * 100}%` };
}

/** The space has a small device of its own, which goes while the page is hidden. */
function useSceneWhileVisible(
  canvas: { readonly current: HTMLCanvasElement | null },
  scene: { current?: Scene },
  setMissing: (isMissing: boolean) => void,
): void {
  const [, setOpened] = useState(0);
  useEffect(() => {
    let isGone = false;
    const close = () => {
      scene.current?.destroy();
      scene.current = undefined;
    };
    const open = async () => {
      if (document.hidden || scene.current || !canvas.current) return;
      const opened = await openScene(canvas.current, close).catch(() => undefined);
      if (isGone) return opened?.destroy();
      if (!opened) return setMissing(true);
      scene.current = opened;
      setOpened((count) => count + 1); // draws
    };
    const onVisibility = () => (document.hidden ? close() : void open());
    void open();
    document.addEventListener('visibilitychange', onVisibility);
    return () => {
      isGone = true;
      document.removeEventListener('visibilitychange', onVisibility);
      close();
    };
  }, []);
}

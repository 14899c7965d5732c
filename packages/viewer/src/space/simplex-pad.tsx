/** A point in a triangle. Arrow keys move it; 1, 2 and 3 pull it towards a corner, with Shift away from it. */
import { TRIANGLE, toPoint, toWeights, towards } from '../state/barycentric.js';
import { useKitchen } from '../ui/context.js';
import { madeIn } from './made.js';
import { type SpaceProps, spoken } from './space-panel.js';

const SIDE = 200;
const STEP = 0.02;
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};
const scaled = (point: readonly number[]): readonly number[] => point.map((value) => value * SIDE);

export function SimplexPad({ corners, weights, onPlace, onRest }: SpaceProps) {
  const { state } = useKitchen();
  const [x, y] = scaled(toPoint(weights, TRIANGLE));
  const follow = (event: PointerEvent & { currentTarget: SVGSVGElement }) => {
    const matrix = event.currentTarget.getScreenCTM();
    if (!matrix) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    onPlace(toWeights([at.x / SIDE, at.y / SIDE], TRIANGLE));
  };
  const press = (event: KeyboardEvent) => {
    const arrow = ARROWS[event.key];
    const times = event.shiftKey ? 5 : 1;
    const corner = ['Digit1', 'Digit2', 'Digit3'].indexOf(event.code);
    if (!arrow && corner < 0) return;
    event.preventDefault();
    if (!arrow) return onPlace(towards(weights, corner, event.shiftKey ? -0.1 : 0.1));
    const [px, py] = toPoint(weights, TRIANGLE);
    onPlace(toWeights([px! + arrow[0] * times, py! + arrow[1] * times], TRIANGLE));
  };
  const made = madeIn(
    state.value,
    corners.map(({ name }) => name),
  );
  return (
    <div class="simplex">
      <svg
        viewBox="-34 -26 268 232"
        // In small letters: attributes of SVG are taken as they are written.
        tabindex={0}
        role="application"
        aria-roledescription="blend pad"
        aria-label={`Blend of ${corners.map(({ name }) => name).join(', ')}: ${spoken(corners, weights)}. Arrow keys move it, 1 to 3 pull towards a corner.`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          follow(event);
        }}
        onPointerMove={(event) => event.buttons > 0 && follow(event)}
        onPointerUp={onRest}
        onKeyDown={press}
        onKeyUp={onRest}
      >
        <polygon class="face" points={TRIANGLE.map((corner) => scaled(corner).join()).join(' ')} />
        {corners.map(({ name, hue }, i) => {
          const [cx, cy] = scaled(TRIANGLE[i]!);
          return (
            <g key={name} class={`hue-${hue}`}>
              <line class="ray" x1={x} y1={y} x2={cx} y2={cy} style={{ strokeWidth: `${1 + weights[i]! * 5}` }} />
              <circle class="corner" cx={cx} cy={cy} r="6" />
              <text x={cx} y={cy! + (i === 0 ? -13 : 23)}>
                {name}
              </text>
            </g>
          );
        })}
        {made.map(({ key, weights: at }) => {
          const [px, py] = scaled(toPoint(at, TRIANGLE));
          return <circle key={key} class="made" cx={px} cy={py} r="2.5" />;
        })}
        <circle class="halo" cx={x} cy={y} r="15" />
        <circle class="here" cx={x} cy={y} r="8" />
      </svg>
    </div>
  );
}

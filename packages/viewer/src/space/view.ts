/** The camera of the blend space: it circles the tetrahedron's centre, and looks at it. */
import { mat4, vec3, vec4 } from 'wgpu-matrix';
import { TETRAHEDRON, toPoint, toWeights } from '../state/barycentric.js';

/** Angles in radians. */
export interface Orbit {
  readonly yaw: number;
  readonly pitch: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

const DISTANCE = 4.4;
const FIELD_OF_VIEW = Math.PI / 6;
const STEEPEST = 1.4;
/** The tetrahedron's middle lies above the centre of its corners' sphere. */
const TARGET = [0, 0.2, 0];

export const turned = ({ yaw, pitch }: Orbit, right: number, down: number): Orbit => ({
  yaw: yaw - right,
  pitch: Math.min(STEEPEST, Math.max(-STEEPEST, pitch + down)),
});

function camera({ yaw, pitch }: Orbit): Float32Array {
  const eye = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
  return mat4.lookAt(vec3.add(vec3.scale(eye, DISTANCE), TARGET), TARGET, [0, 1, 0]);
}

/** From the space to clip coordinates. */
export const viewProjection = (orbit: Orbit, { width, height }: Size): Float32Array =>
  mat4.multiply(mat4.perspective(FIELD_OF_VIEW, width / height, 0.1, 20), camera(orbit));

/** Of the screen in the space: what pictures face, and what the point is dragged along. */
export function axes(orbit: Orbit): { right: Float32Array; up: Float32Array } {
  const world = mat4.inverse(camera(orbit));
  return { right: vec3.create(world[0], world[1], world[2]), up: vec3.create(world[4], world[5], world[6]) };
}

/** In pixels from the top left. */
export function placeOnScreen(orbit: Orbit, weights: readonly number[], size: Size): [number, number] {
  const [x, y, z] = toPoint(weights, TETRAHEDRON);
  const clip = vec4.transformMat4([x!, y!, z!, 1], viewProjection(orbit, size));
  return [(clip[0]! / clip[3]! / 2 + 0.5) * size.width, (0.5 - clip[1]! / clip[3]! / 2) * size.height];
}

/** The weights after the point was moved by so many pixels, in the plane that faces the camera. */
export function dragged(orbit: Orbit, weights: readonly number[], by: { x: number; y: number }, size: Size): number[] {
  const { right, up } = axes(orbit);
  const place = vec3.create(...(toPoint(weights, TETRAHEDRON) as [number, number, number]));
  const depth = -vec3.transformMat4(place, camera(orbit))[2]!;
  const unit = (2 * depth * Math.tan(FIELD_OF_VIEW / 2)) / size.height; // of the space, to a pixel
  const moved = vec3.add(place, vec3.add(vec3.scale(right, by.x * unit), vec3.scale(up, -by.y * unit)));
  return toWeights([...moved], TETRAHEDRON);
}

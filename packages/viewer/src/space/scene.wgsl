// Flat shapes that face the camera: lines, discs and pictures of the blend space.
// corners: a quad of two triangles, [-1, 1]^2. Each instance is one shape, from `a` to `b` where it is a line.

struct Camera {
  viewProjection: mat4x4f,
  right: vec4f,
  up: vec4f,
}

struct Shape {
  @location(0) a: vec4f,     // place, and half its size in the space
  @location(1) b: vec4f,     // where a line ends; w: 0 disc, 1 line, 2 picture
  @location(2) colour: vec4f,
}

struct Corner {
  @builtin(position) position: vec4f,
  @location(0) at: vec2f,
  @location(1) colour: vec4f,
  @location(2) @interpolate(flat) kind: f32,
}

@group(0) @binding(0) var<uniform> camera: Camera;
@group(1) @binding(0) var picture: texture_2d<f32>;
@group(1) @binding(1) var nearest: sampler;

@vertex
fn place(@builtin(vertex_index) index: u32, shape: Shape) -> Corner {
  let at = vec2f(f32(index & 1u), f32(index >> 1u)) * 2 - 1;
  var position = shape.a.xyz + (camera.right.xyz * at.x + camera.up.xyz * at.y) * shape.a.w;
  if (shape.b.w == 1) {
    let along = shape.b.xyz - shape.a.xyz;
    let across = normalize(cross(along, cross(camera.right.xyz, camera.up.xyz)));
    position = shape.a.xyz + along * (at.x * 0.5 + 0.5) + across * at.y * shape.a.w;
  }
  return Corner(camera.viewProjection * vec4f(position, 1), at, shape.colour, shape.b.w);
}

@fragment
fn paint(corner: Corner) -> @location(0) vec4f {
  let size = fwidth(corner.at);
  let pixel = textureSampleLevel(picture, nearest, corner.at * vec2f(0.5, -0.5) + 0.5, 0);
  var cover = 1.0 - smoothstep(1 - 2 * size.x, 1.0, length(corner.at));
  if (corner.kind == 1) { cover = 1.0 - smoothstep(1 - 2 * size.y, 1.0, abs(corner.at.y)); }
  if (corner.kind == 2) {
    let box = abs(corner.at) - 0.8;
    cover = 1.0 - smoothstep(0.2 - 2 * size.x, 0.2, length(max(box, vec2f(0))));
  }
  // A picture has a rim, or a white one would be lost on a white page.
  let over = abs(corner.at) - 0.8;
  let edge = length(max(over, vec2f(0))) + min(max(over.x, over.y), 0);
  let rim = smoothstep(0.2 - 3.5 * size.x, 0.2 - 2.5 * size.x, edge) * 0.5;
  let colour = select(corner.colour.rgb, mix(pixel.rgb, corner.colour.rgb, rim), corner.kind == 2);
  let alpha = corner.colour.a * cover;
  return vec4f(colour * alpha, alpha);
}

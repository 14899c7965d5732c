// colour = x / 2 + 0.5 of every pixel: a decoded picture, onto a target of its size.
//
//   x   (height, width, channels), about [-1, 1]; one channel is grey
//
// A render pipeline: one triangle over the whole target, one fragment per pixel. The target's format clamps and rounds.

struct Params {
  width: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;

@vertex
fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(select(-1.0, 3.0, i == 1u), select(-1.0, 3.0, i == 2u), 0.0, 1.0);
}

@fragment
fn colour(@builtin(position) at: vec4f) -> @location(0) vec4f {
  let pixel = (u32(at.y) * params.width + u32(at.x)) * params.channels;
  let last = params.channels - 1u;
  let rgb = vec3f(x[pixel], x[pixel + min(1u, last)], x[pixel + min(2u, last)]);
  return vec4f(clamp(rgb / 2.0 + 0.5, vec3f(0.0), vec3f(1.0)), 1.0);
}

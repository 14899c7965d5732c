// Sinusoidal embedding of the timestep (Vaswani et al. 2017; diffusers get_timestep_embedding):
//   angle_i = t * exp(-ln(10000) * i / (half - freq_shift)),  i in 0..half
//   y = (sin, cos), or (cos, sin) with FLIP; a last odd channel is zero.
//
//   x   (images)             timesteps, f32 and possibly fractional
//   y   (images, channels)
//
// One thread per element of y.

struct Params {
  size: u32,
  channels: u32,
  freq_shift: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<YElem>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.size) {
    return;
  }
  let half = params.channels / 2;
  let channel = i % params.channels;
  let angle = x[i / params.channels] * exp(-9.210340371976184 * f32(channel % half) / (f32(half) - params.freq_shift));
  let is_cosine = (channel >= half) != FLIP;
  y[i] = to_y(select(select(sin_of(angle), cos_of(angle), is_cosine), 0.0, channel >= 2 * half));
}

// WGSL allows sin and cos an error of 2^-11 and only promises it within one turn; so we fold the angle into
// [-pi/4, pi/4] ourselves (pi/2 in three parts: Cody & Waite 1980) and use the Taylor series there.
fn sin_of(angle: f32) -> f32 {
  return quarter(angle, 0);
}

fn cos_of(angle: f32) -> f32 {
  return quarter(angle, 1);
}

fn quarter(angle: f32, turn: i32) -> f32 {
  let n = round(angle * 0.6366197723675814);
  let r = ((angle - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.549789948768648e-8;
  let s = r * r;
  let sine = r * (1 + s * (-1.0 / 6 + s * (1.0 / 120 + s * (-1.0 / 5040 + s * (1.0 / 362880)))));
  let cosine = 1 + s * (-0.5 + s * (1.0 / 24 + s * (-1.0 / 720 + s * (1.0 / 40320))));
  let q = (i32(n) + turn) & 3;
  let value = select(sine, cosine, (q & 1) == 1);
  return select(value, -value, q >= 2);
}

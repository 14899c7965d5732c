// y = max(y, the largest exponent field of a run of halves): whether average-bounded.wgsl may average it.
//
//   x  pairs of halves; the run is `words` words from `start` on
//   y  at `place`
//
// A workgroup takes a stretch of the run, a thread every 64th word of that.

struct Params {
  start: u32,
  words: u32,
  stretch: u32,
  place: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<atomic<u32>>;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let end = min((group.x + 1) * params.stretch, params.words);
  var found = 0u;
  for (var i = group.x * params.stretch + thread; i < end; i += 64) {
    let pair = x[params.start + i];
    found = max(found, max(pair & 0x7c00, (pair >> 16) & 0x7c00));
  }
  atomicMax(&largest, found >> 10);
  workgroupBarrier();
  if (thread == 0) {
    atomicMax(&y[params.place], atomicLoad(&largest));
  }
}

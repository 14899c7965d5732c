// y = Σ a_i * a_j over the elements of a tile, for all pairs (i, j) of ingredients: parts of a Gram matrix.
//   a_i = ingredient_i, or with DELTAS ingredient_i - base; with DISTANCES the sum is Σ (ingredient_i - ingredient_j)²
//
//   x   staging memory. At word `table`, for each ingredient: first word of its numbers, format; with DELTAS the base
//       comes last.
//   y   (tiles, blocks, blocks), from matrix `first` on: a tile is TILE elements, a block 4 ingredients, and a matrix
//       holds pair (i, j) in row i, column j. Only blocks on and above the diagonal are written.
//
// Uses stored-number.wgsl.
//
// One workgroup per tile and pair of blocks. A thread sums four times four products, then four lanes add the threads'
// sums by eights: whatever the number of elements, no product is rounded more than 25 times on its way, so that the
// error is below 2^-19 Σ |a_i a_j|. The host adds the tiles in f64, in their order.

struct Params {
  elements: u32,
  table: u32,
  ingredients: u32,
  blocks: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // matrices, column by column

const TILE = 16 * WORKGROUP;

var<workgroup> partial: array<vec4f, 4 * WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (group.y > group.z) {
    return;
  }
  let rows = runs_of(group.y * 4);
  let columns = runs_of(group.z * 4);
  var total = mat4x4f(vec4f(), vec4f(), vec4f(), vec4f());
  for (var quarter = 0u; quarter < 4; quarter++) {
    // The zeros are written out: without them the variable keeps its values from turn to turn on lavapipe.
    var sum = mat4x4f(vec4f(), vec4f(), vec4f(), vec4f());
    for (var i = 0u; i < 2; i++) {
      let element = group.x * TILE + ((quarter * 2 + i) * WORKGROUP + lane) * 2;
      let a = numbers(rows, element);
      var b = a;
      if (group.y != group.z) {
        b = numbers(columns, element);
      }
      sum += products(a[0], b[0]);
      sum += products(a[1], b[1]);
    }
    total += sum;
  }
  for (var column = 0u; column < 4; column++) {
    partial[lane * 4 + column] = total[column];
  }
  workgroupBarrier();
  // One lane for each column. A tree of barriers would take lavapipe five seconds to compile.
  if (lane < 4) {
    var column = vec4f();
    for (var outer = 0u; outer < WORKGROUP; outer += 8) {
      var some = vec4f();
      for (var i = outer; i < outer + 8; i++) {
        some += partial[i * 4 + lane];
      }
      column += some;
    }
    y[(params.first + (group.x * params.blocks + group.y) * params.blocks + group.z) * 4 + lane] = column;
  }
}

fn products(rows: vec4f, columns: vec4f) -> mat4x4f {
  if (DISTANCES) {
    let x = rows - columns.x;
    let y = rows - columns.y;
    let z = rows - columns.z;
    let w = rows - columns.w;
    return mat4x4f(x * x, y * y, z * z, w * w);
  }
  return mat4x4f(rows * columns.x, rows * columns.y, rows * columns.z, rows * columns.w);
}

// Where the numbers of four ingredients begin and how they are stored, and of the base; ABSENT past the last.
struct Runs {
  starts: vec4u,
  formats: vec4u,
  base: vec2u,
}

const ABSENT = 0xffffffffu;

fn runs_of(ingredient: u32) -> Runs {
  var runs: Runs;
  for (var i = 0u; i < 4; i++) {
    let is_there = ingredient + i < params.ingredients;
    let entry = params.table + 2 * min(ingredient + i, params.ingredients - 1);
    runs.starts[i] = select(ABSENT, x[entry], is_there);
    runs.formats[i] = x[entry + 1];
  }
  runs.base = vec2u(ABSENT, 0);
  if (DELTAS) {
    let entry = params.table + 2 * params.ingredients;
    runs.base = vec2u(x[entry], x[entry + 1]);
  }
  return runs;
}

// Two neighbouring elements of four ingredients; 0 past the end.
fn numbers(runs: Runs, element: u32) -> array<vec4f, 2> {
  let first = pair(runs.starts.x, runs.formats.x, element);
  let second = pair(runs.starts.y, runs.formats.y, element);
  let third = pair(runs.starts.z, runs.formats.z, element);
  let fourth = pair(runs.starts.w, runs.formats.w, element);
  var low = vec4f(first.x, second.x, third.x, fourth.x);
  var high = vec4f(first.y, second.y, third.y, fourth.y);
  if (DELTAS) {
    let base = pair(runs.base.x, runs.base.y, element);
    low -= base.x;
    high -= base.y;
  }
  return array(low, high);
}

fn pair(start: u32, format: u32, element: u32) -> vec2f {
  if (start == ABSENT || element >= params.elements) {
    return vec2f();
  }
  let is_last = element + 1 == params.elements;
  if (format == STORED_F32) {
    return vec2f(bitcast<f32>(x[start + element]), select(bitcast<f32>(x[start + element + 1]), 0, is_last));
  }
  let word = x[start + element / 2];
  let low = vec2u(word & 0xffff, select(word >> 16, 0, is_last));
  if (format == STORED_BF16) {
    return bitcast<vec2f>(low << vec2u(16));
  }
  return vec2f(bitcast<f32>(half_bits(low.x)), bitcast<f32>(half_bits(low.y)));
}

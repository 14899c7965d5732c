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
// One workgroup per tile and pair of blocks. A thread sums four times four products, then the threads' sums are added
// in a tree: whatever the number of elements, no product is rounded more than 16 times on its way, so that the error is
// below 2^-20 Σ |a_i a_j|. The host adds the tiles in f64, in their order.

struct Params {
  elements: u32,
  table: u32,
  ingredients: u32,
  blocks: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<mat4x4f>;

const TILE = 16 * WORKGROUP;

var<workgroup> partial: array<mat4x4f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (group.y > group.z) {
    return;
  }
  var total = mat4x4f(vec4f(), vec4f(), vec4f(), vec4f());
  for (var quarter = 0u; quarter < 4; quarter++) {
    // The zeros are written out: without them the variable keeps its values from turn to turn on lavapipe.
    var sum = mat4x4f(vec4f(), vec4f(), vec4f(), vec4f());
    for (var i = 0u; i < 4; i++) {
      let element = group.x * TILE + (quarter * 4 + i) * WORKGROUP + lane;
      let rows = numbers(group.y * 4, element);
      let columns = numbers(group.z * 4, element);
      sum += mat4x4f(
        products(rows, columns.x),
        products(rows, columns.y),
        products(rows, columns.z),
        products(rows, columns.w),
      );
    }
    total += sum;
  }
  partial[lane] = total;
  for (var half = WORKGROUP / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
  }
  if (lane == 0) {
    y[params.first + (group.x * params.blocks + group.y) * params.blocks + group.z] = partial[0];
  }
}

fn products(rows: vec4f, column: f32) -> vec4f {
  if (DISTANCES) {
    return (rows - column) * (rows - column);
  }
  return rows * column;
}

// One element of four ingredients; 0 past the end of either.
fn numbers(ingredient: u32, element: u32) -> vec4f {
  if (element >= params.elements) {
    return vec4f();
  }
  var values = vec4f(
    number(ingredient, element),
    number(ingredient + 1, element),
    number(ingredient + 2, element),
    number(ingredient + 3, element),
  );
  if (DELTAS) {
    values -= number(params.ingredients, element);
  }
  return values;
}

fn number(ingredient: u32, element: u32) -> f32 {
  let entry = params.table + 2 * min(ingredient, params.ingredients);
  if (ingredient >= params.ingredients && !DELTAS) {
    return 0;
  }
  return bitcast<f32>(stored_bits(x[entry], x[entry + 1], element));
}

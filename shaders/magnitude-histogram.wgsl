// y = how many differences |ingredient - base| have each value of a 16-bit digit of their f32 bits: two passes, one for
// each digit, find the k-th largest exactly (a radix select). The bits of a positive float grow with it.
//
//   x   staging memory. At word `table`, for each ingredient and then the base: first word of its numbers, format
//   y   (ingredients, 65536) counts, added to. LOW: the low digit of those whose high digit is `prefix`; else the high
//       digit. Differences of 0 are not counted: they are the most common, and would all wait for one counter.
//
// Uses stored-number.wgsl.
//
// One thread per element of one ingredient.

struct Params {
  elements: u32,
  table: u32,
  ingredient: u32,
  ingredients: u32,
  prefix: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let element = id.y * groups.x * WORKGROUP + id.x;
  if (element >= params.elements) {
    return;
  }
  let distance = distance_bits(number(params.ingredient, element), number(params.ingredients, element));
  let high = distance >> 16;
  if (distance == 0 || (LOW && high != params.prefix)) {
    return;
  }
  atomicAdd(&y[params.ingredient * 65536 + select(high, distance & 0xffff, LOW)], 1u);
}

fn number(ingredient: u32, element: u32) -> u32 {
  let entry = params.table + 2 * ingredient;
  return stored_bits(x[entry], x[entry + 1], element);
}

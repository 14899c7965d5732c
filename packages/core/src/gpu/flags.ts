/** WebGPU's flags, which are globals in browsers but not in Node (https://www.w3.org/TR/webgpu/#namespacedef-gpubufferusage). */

export const Usage = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;

export const MapMode = { READ: 1, WRITE: 2 } as const;
export const FRAGMENT_STAGE = 2;
export const COMPUTE_STAGE = 4;

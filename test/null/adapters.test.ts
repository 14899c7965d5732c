/** Which adapters are the processor: by what they say, and by their names where they are older than saying it. */
import { isSoftware } from '@diffusion-soup/core';
import { expect, test } from 'vitest';

test.each([
  [{ isFallbackAdapter: true }, true],
  [{ vendor: 'google', architecture: 'swiftshader', description: 'SwiftShader driver 5.0.0' }, true],
  [{ vendor: 'mesa', architecture: 'software', description: 'llvmpipe: Mesa 25.0.7' }, true],
  [{ vendor: 'nvidia', architecture: 'hopper', isFallbackAdapter: false }, false],
  [{ vendor: 'apple', architecture: 'metal-3' }, false],
  [{}, false],
  [undefined, false],
])('%j: %s', (info, expected) => {
  expect(isSoftware(info)).toBe(expected);
});

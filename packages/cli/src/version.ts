/** Which soup this is. */
import { createRequire } from 'node:module';

export { version } from '@diffusion-soup/core';

const require = createRequire(import.meta.url);

/** The version of a package we depend on, or undefined when it cannot be told. */
export function versionOf(name: string): string | undefined {
  try {
    return (require(`${name}/package.json`) as { readonly version: string }).version;
  } catch {
    return undefined;
  }
}

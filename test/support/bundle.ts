/** Programs of a test in a file each: processes that are started by the hundred start several times as fast. */
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Of support/: the path of each in `folder`, as name.js. */
export const support = (name: string): string => join(root, 'test/support', name);
/** Of the built command line; threads that a program starts lie beside it under their own names. */
export const built = (name: string): string => join(root, 'packages/cli/dist', name);

export async function bundle(
  folder: string,
  input: Readonly<Record<string, string>>,
  alias: Readonly<Record<string, string>> = {},
): Promise<(name: string) => string> {
  const outDir = join(folder, 'dist');
  mkdirSync(folder, { recursive: true });
  // Where the version is read from, and what is not taken in.
  copyFileSync(join(root, 'packages/cli/package.json'), join(folder, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  await build({
    ...{ configFile: false, logLevel: 'error', root: dirname(outDir), resolve: { alias: { ...alias } } },
    ssr: { noExternal: true, external: ['webgpu', 'sharp'] },
    build: {
      ...{ ssr: true, outDir, target: 'node20' },
      rolldownOptions: {
        input: { ...input },
        output: { entryFileNames: '[name].js', chunkFileNames: '[name]-chunk.js' },
      },
    },
  });
  return (name) => join(outDir, `${name}.js`);
}

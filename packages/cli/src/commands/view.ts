/** `soup view`: the page on this machine, with the models of this machine. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { basename } from 'node:path';
import { UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { type CommonFlags, wholeNumber, withCommonFlags } from '../flags.js';
import { openKitchen } from '../kitchen.js';
import type { Io, Output } from '../output.js';
import { pantry } from '../recipe.js';
import { orderOf } from '../recipe-flags.js';
import { exitCodeOf } from '../report.js';
import type { Run } from '../run.js';
import { openBrowser } from '../view/browser.js';
import { openShelf } from '../view/listing.js';
import { pageFiles, pageFolder } from '../view/page.js';
import { startView } from '../view/server.js';

/** The same at every start where it is free: browsers keep files and settings by the address, port and all. */
const USUAL_PORT = 17687;
const TOKEN_BYTES = 24;

interface ViewFlags extends CommonFlags {
  readonly port?: number;
  readonly open: boolean;
}

export function viewCommand(program: Command, run: Run): void {
  const command = program
    .command('view')
    .summary('blend models in the browser, with sliders')
    .description(
      'Serves a page on which models are blended and drawn with by your own browser (WebGPU), and the pantry for it: on ' +
        '127.0.0.1 alone, and only to who has the address that is printed. Ctrl-C ends it.',
    )
    .argument('[recipe]', 'a recipe to begin with (*.yaml), or models as noto:2+ink:1')
    .option('--port <number>', `where to listen (default: ${USUAL_PORT}, or a free one)`, wholeNumber(0, 65535))
    .option('--no-open', 'print the address, and open no browser');
  withCommonFlags(command)
    .addHelpText(
      'after',
      '\nExamples:\n  soup view\n  soup view noto:2+ink:1\n  soup view soup.yaml --port 8080 --no-open',
    )
    .action(async (recipe: string | undefined, flags: ViewFlags) => {
      const output = run.output(flags);
      run.exitCode = await view(recipe, flags, output);
    });
}

async function view(recipe: string | undefined, flags: ViewFlags, output: Output): Promise<number> {
  const page = pageFiles(pageFolder());
  const kitchen =
    recipe === undefined ? undefined : await openKitchen(await orderOf([recipe], { normalize: true }, output), output);
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const shelf = () => openShelf(pantry(output.io.env), kitchen, recipe && basename(recipe));
  const start = (port: number) => startView({ port, token, page, shelf });
  const server = await (flags.port === undefined ? start(USUAL_PORT).catch(freeInstead(start)) : start(flags.port));
  try {
    const { port } = server;
    const url = `http://127.0.0.1:${port}/#token=${token}`;
    output.print(url);
    output.note('Only this machine can open it. Ctrl-C ends it.');
    output.result({ url, port, token });
    if (flags.open && mayOpen(output.io, flags)) openBrowser(url);
    const { signal } = output.io;
    if (!signal.aborted) await once(signal, 'abort');
    return exitCodeOf(signal);
  } finally {
    await server.close();
    await kitchen?.close();
  }
}

const freeInstead =
  <T>(start: (port: number) => Promise<T>) =>
  (error: unknown): Promise<T> => {
    if (error instanceof UsageError && error.facts.code === 'EADDRINUSE') return start(0);
    throw error;
  };

const mayOpen = ({ stdout, env }: Io, { json }: CommonFlags): boolean => stdout.isTTY === true && !json && !env.CI;

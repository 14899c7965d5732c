/** One run of the command line, without the process around it: arguments in, exit code out. */
import { Command, CommanderError } from 'commander';
import { batchCommand } from './commands/batch.js';
import { addCommand, removeCommand } from './commands/change.js';
import { conformanceCommand } from './commands/conformance.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { generateCommand } from './commands/generate.js';
import { gridCommand } from './commands/grid.js';
import { inspectCommand } from './commands/inspect.js';
import { labCommand } from './commands/lab.js';
import { loraCommand } from './commands/lora.js';
import { mergeCommand } from './commands/merge.js';
import { pantryCommand } from './commands/pantry.js';
import { queueCommand } from './commands/queue.js';
import { recipeCommand } from './commands/recipe.js';
import { searchCommand } from './commands/search.js';
import { tuneCommand } from './commands/tune.js';
import { verifyCommand } from './commands/verify.js';
import { viewCommand } from './commands/view.js';
import { workerCommand } from './commands/worker.js';
import type { CommonFlags } from './flags.js';
import { createOutput, type Io, type Output } from './output.js';
import { report } from './report.js';
import { isInteractive, tuiCommand } from './tui/command.js';
import { version } from './version.js';

/** What a command's action gets: where to write, and the exit code it may set. */
export interface Run {
  output(flags: CommonFlags): Output;
  exitCode: number;
}

export function buildProgram(io: Io, run: Run): Command {
  const program = new Command('soup')
    .description('Averages fine-tuned Stable Diffusion models into one, and makes pictures with it.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .helpCommand('help [command]', 'explain a command')
    .exitOverride()
    .configureHelp({ helpWidth: Math.min(io.stdout.columns || 100, 120) })
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: () => {}, // errors are reported in one place: report.ts
    })
    .addHelpText(
      'after',
      `
Examples:
  soup demo                                            cook the pantry's soup and draw with it
  soup generate noto+ink -p "red apple" --seed 42      draw with the average of two models
  soup merge noto:2+ink:1 --out my-soup                write the average as a diffusers folder
  soup generate my-soup -p "cat face"                  and draw with that

A model is a folder as diffusers writes it: a path, or a name in the pantry ($SOUP_PANTRY, else ./pantry).

Exit codes: 0 done, 1 internal error or a failed comparison, 2 usage, 3 bad file, 4 models that do not fit
together, 5 no GPU adapter, 6 GPU lost or out of memory, 7 network, 8 disk, 9 partly done, 130 Ctrl-C, 143 terminated.`,
    );
  for (const add of [
    generateCommand,
    batchCommand,
    gridCommand,
    workerCommand,
    queueCommand,
    mergeCommand,
    loraCommand,
    searchCommand,
    labCommand,
    addCommand,
    removeCommand,
    verifyCommand,
    recipeCommand,
    inspectCommand,
    pantryCommand,
    conformanceCommand,
    doctorCommand,
    tuneCommand,
    demoCommand,
    tuiCommand,
    viewCommand,
  ])
    add(program, run);
  return program;
}

export async function run(argv: readonly string[], io: Io): Promise<number> {
  // Known before the arguments are understood: a mistake in them is reported as JSON, too.
  const json = argv.includes('--json');
  const debug = argv.includes('--debug') || Boolean(io.env.SOUP_DEBUG);
  let output: Output | undefined;
  const state: Run = {
    exitCode: 0,
    output(flags) {
      output = createOutput(io, flags);
      return output;
    },
  };
  const program = buildProgram(io, state);
  if (argv.length === 0 && !isInteractive(io)) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(argv.length === 0 ? ['tui'] : [...argv], { from: 'user' });
    output?.endStatus();
    return state.exitCode;
  } catch (error) {
    output?.endStatus();
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help, --version
    return report(error, io, { json, debug });
  }
}

/** The engine's process: orders come in and events go out over the channel to its parent, and end with it. */
import { Cook } from './cook.js';
import type { Command, EngineEvent } from './protocol.js';
import { GpuStove } from './stove.js';

const [folder] = process.argv.slice(2);
const tell = (event: EngineEvent): void => void process.send?.(event, undefined, undefined, () => {});
const stove = new GpuStove(process.env, folder, tell);
const cook = new Cook(stove, tell);

process.on('message', (command: Command) => {
  switch (command.type) {
    case 'order':
      return cook.order(command.order);
    case 'stop':
      return cook.stop();
    case 'keep':
      return cook.keep(command.task);
    case 'inspect':
      return void cook.inspect(command.ids, command.against);
  }
});
// The terminal sends Ctrl-C to all of its processes: what becomes of it is the parent's decision.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(0));
process.on('uncaughtException', (error) => {
  console.error(error);
  tell({ type: 'failed', message: `the engine broke: ${error.message}` });
  setTimeout(() => process.exit(1), 50);
});

stove.open().catch((error: unknown) => {
  tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
});

/** The engine's process: orders come in and events go out over the channel to its parent, and end with it. */
import { Cook } from './cook.js';
import type { Command, EngineEvent } from './protocol.js';
import { GpuStove } from './stove.js';

const [folder] = process.argv.slice(2);
const tell = (event: EngineEvent): void => void process.send?.(event, undefined, undefined, () => {});
const stove = new GpuStove(process.env, folder, tell);
const cook = new Cook(stove, tell);

process.on('message', (command: Command) => {
  if (command.type === 'order') cook.order(command.order);
  else if (command.type === 'stop') cook.stop();
  else if (command.type === 'keep') cook.keep(command.task);
  else void cook.inspect(command.ids, command.against);
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

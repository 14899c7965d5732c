/** Starts the engine's process and speaks with it. What it says on its own goes to the log. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command, Engine, EngineEvent } from './protocol.js';

export interface EngineOptions {
  /** Where pictures are put. */
  readonly folder: string;
  /** An open file. */
  readonly log: number;
  readonly onEvent: (event: EngineEvent) => void;
}

const GRACE_MS = 700;

export function startEngine({ folder, log, onEvent }: EngineOptions): Engine {
  const file = fileURLToPath(new URL('./process.js', import.meta.url));
  // Drivers write to stderr as they please.
  const child = fork(file, [folder], { serialization: 'advanced', stdio: ['ignore', log, log, 'ipc'] });
  let isClosing = false;
  const ended = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      resolve();
      if (isClosing) return;
      const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
      onEvent({ type: 'failed', message: `the engine ${how}; the log has more. Press r to start it again.` });
      onEvent({ type: 'ended' });
    });
  });
  child.on('message', (event) => onEvent(event as EngineEvent));
  child.on('error', (error) => onEvent({ type: 'failed', message: error.message }));
  return {
    send(command: Command) {
      if (child.connected) child.send(command, () => {});
    },
    async close(graceMs = GRACE_MS) {
      isClosing = true;
      if (child.connected) child.send({ type: 'stop' } satisfies Command, () => child.disconnect());
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

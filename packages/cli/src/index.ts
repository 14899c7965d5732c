/** The engine in Node: what core needs from a machine, for programs that would rather not spawn `soup`. */
export { writeFileAtomic } from './atomic-file.js';
export { type OpenGpu, type OpenOptions, openAdapter, openGpu } from './device.js';
export { diskFolder, fileSource } from './files.js';
export { encodePng } from './image/png.js';
export type { Io, Stream } from './output.js';
export { run } from './run.js';
export { version } from './version.js';

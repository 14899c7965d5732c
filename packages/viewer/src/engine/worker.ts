/** The page's engine: orders come in, events go out. See messages.ts. */
import { openFiles } from '../files/open-files.js';
import type { EngineEvent, Order } from '../messages.js';
import { Desk } from './desk.js';
import { GpuStove } from './stove.js';

const desk = new Desk(new GpuStove(openFiles), (event: EngineEvent) => self.postMessage(event));

self.onmessage = ({ data }: MessageEvent<Order>) => desk.take(data);

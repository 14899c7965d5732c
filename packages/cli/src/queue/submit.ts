import { UsageError } from '@diffusion-soup/core';
import type { Item } from '../batch/item.js';
import type { BatchFlags } from '../commands/batch.js';
import type { Output } from '../output.js';

export async function submitBatch(
  _items: readonly Item[],
  _flags: BatchFlags & { queue: string },
  _output: Output,
): Promise<number> {
  throw new UsageError('queues are not there yet');
}

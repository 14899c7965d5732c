import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { formulaOf, type Shard, shownWeight, sumOf } from '../state/soup.js';

/** What the soup is, in one line, and what its weights add up to. */
export function Formula({ shards, width }: { readonly shards: readonly Shard[]; readonly width: number }) {
  const formula = printable(formulaOf(shards));
  if (formula === '') {
    const hint = width < 50 ? 'Space puts a shard into the soup.' : 'Nothing in the soup yet: space puts a shard in.';
    return (
      <Box width={width} height={1}>
        <Text dimColor wrap="truncate">{`  ${hint}`}</Text>
      </Box>
    );
  }
  const sum = sumOf(shards);
  const total = `sum ${shownWeight(sum)}${sum === 1 ? '' : sum === 0 ? ', nothing' : ', scaled to 1'}`;
  return (
    <Box width={width} height={1} justifyContent="space-between">
      <Box width={width - total.length - 2}>
        <Text wrap="truncate-end" bold>
          {`  = ${formula}`}
        </Text>
      </Box>
      <Text dimColor>{total}</Text>
    </Box>
  );
}

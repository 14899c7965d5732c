/** Prompt, seed and the rest, two of the short ones to a line. */
import { Box, Text } from 'ink';
import { printable } from '../../text.js';
import { type Field, shownField } from '../state/picture.js';
import { fieldAt, type State } from '../state/state.js';
import { EditLine } from './EditLine.js';
import { useTheme } from './theme.js';

export interface FieldsProps {
  readonly state: State;
  readonly width: number;
}

const LABEL_COLUMNS = 12;
/** Of steps and guidance, which are never long. */
const SHORT_COLUMNS = 5;
/** As wide as the largest seed. */
const WIDEST_FIRST = LABEL_COLUMNS + 22;

export function Fields({ state, width }: FieldsProps) {
  const first = Math.min(WIDEST_FIRST, width - LABEL_COLUMNS - SHORT_COLUMNS);
  const row = (field: Field, columns: number) => <FieldView key={field} {...{ state, field }} width={columns} />;
  return (
    <Box flexDirection="column" width={width}>
      {row('prompt', width)}
      {row('negative', width)}
      <Box>
        {row('seed', first)}
        {row('steps', width - first)}
      </Box>
      <Box>
        {row('sampler', first)}
        {row('guidance', width - first)}
      </Box>
    </Box>
  );
}

function FieldView({ state, field, width }: { state: State; field: Field; width: number }) {
  const { accent, glyphs } = useTheme();
  const isFocused = fieldAt(state) === field;
  const { editing } = state;
  const room = width - LABEL_COLUMNS - 1;
  const value = printable(shownField(state.doc.present.picture, field));
  return (
    <Box width={width} height={1}>
      <Box width={LABEL_COLUMNS} flexShrink={0}>
        <Text color={isFocused ? accent : undefined} bold={isFocused} dimColor={!isFocused}>
          {isFocused ? glyphs.focus : ' '} {field}
        </Text>
      </Box>
      {isFocused && editing?.target === field ? (
        <EditLine line={editing.line} width={room} />
      ) : (
        <Box width={room}>
          <Text wrap="truncate-end" dimColor={value === ''}>
            {value || 'none'}
          </Text>
        </Box>
      )}
    </Box>
  );
}

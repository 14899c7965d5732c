import { Text } from 'ink';
import { characters, type TextLine } from '../state/text-line.js';

export interface EditLineProps {
  readonly line: TextLine;
  /** In columns; of longer text the part around the cursor is shown. */
  readonly width: number;
}

/** Text that is being typed, with its cursor as an inverse character. */
export function EditLine({ line, width }: EditLineProps) {
  const all = [...characters(line.text), ' '];
  const first = Math.max(0, line.cursor - Math.max(1, width - 1) + 1);
  const shown = all.slice(first, first + width);
  const at = line.cursor - first;
  return (
    <Text wrap="truncate">
      {shown.slice(0, at).join('')}
      <Text inverse>{shown[at]}</Text>
      {shown.slice(at + 1).join('')}
    </Text>
  );
}

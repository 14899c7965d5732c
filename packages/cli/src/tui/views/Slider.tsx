import { Text } from 'ink';
import { useTheme } from './theme.js';

export interface SliderProps {
  /** 0 to 1; what is beyond is drawn as full or empty. */
  readonly value: number;
  readonly width: number;
  readonly isFocused: boolean;
  readonly isOff: boolean;
}

export function Slider({ value, width, isFocused, isOff }: SliderProps) {
  const { accent, glyphs } = useTheme();
  const filled = isOff ? 0 : Math.round(Math.min(1, Math.max(0, value)) * width);
  return (
    <Text wrap="truncate">
      <Text color={isFocused ? accent : undefined} bold={isFocused}>
        {glyphs.full.repeat(filled)}
      </Text>
      <Text dimColor>{glyphs.empty.repeat(width - filled)}</Text>
    </Text>
  );
}

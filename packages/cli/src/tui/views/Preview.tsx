/** The picture, what it is, and where it lies. */

import { homedir } from 'node:os';
import { Box, Text } from 'ink';
import { formatSeconds } from '../../progress.js';
import { printable } from '../../text.js';
import type { Area } from '../layout.js';
import { pictureLines } from '../picture-text.js';
import { type State, shownOf } from '../state/state.js';
import { useTheme } from './theme.js';

export function Preview({ state, area }: { readonly state: State; readonly area: Area }) {
  const { glyphs, pictures } = useTheme();
  const shown = shownOf(state);
  if (!shown) {
    return (
      <Box width={area.columns} height={area.rows + 2} alignItems="center" justifyContent="center">
        <Text dimColor>{state.work ? 'on its way' : 'no picture yet'}</Text>
      </Box>
    );
  }
  const { picture, isCurrent } = shown;
  const about = [
    isCurrent ? (picture.effort === 'sketch' ? 'sketch' : 'picture') : 'an earlier soup',
    formatSeconds(picture.seconds),
    ...(state.doc.present.other ? [`side ${state.doc.present.side}`] : []),
  ];
  return (
    <Box flexDirection="column" width={area.columns} height={area.rows + 2}>
      <Box height={area.rows} flexDirection="column">
        {pictureLines(picture, area, pictures).map((line, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a picture have nothing but their place
          <Text key={i} wrap="truncate">
            {line}
          </Text>
        ))}
      </Box>
      <Text dimColor={isCurrent} bold={!isCurrent} wrap="truncate">
        {about.join(` ${glyphs.dot} `)}
      </Text>
      <Text dimColor wrap="truncate-start">
        {shortPath(picture.path)}
      </Text>
    </Box>
  );
}

export function shortPath(path: string, home = homedir()): string {
  const shown = printable(path);
  return home && shown.startsWith(`${home}/`) ? `~${shown.slice(home.length)}` : shown;
}

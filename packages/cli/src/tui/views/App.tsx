/** The whole screen, as a function of the state. */
import { Box, Text } from 'ink';
import { isTooSmall, type Layout, layoutOf, SMALLEST } from '../layout.js';
import type { State } from '../state/state.js';
import { Blocks } from './Blocks.js';
import { Compare } from './Compare.js';
import { Header, Hints, MachineLine, Words, WorkLine, wordsOf } from './Frame.js';
import { Help } from './Help.js';
import { Keep } from './Keep.js';
import { Kitchen } from './Kitchen.js';
import { Spoken } from './Spoken.js';
import { type Theme, ThemeProvider } from './theme.js';

export interface AppProps {
  readonly state: State;
  readonly theme: Theme;
}

export function App({ state, theme }: AppProps) {
  const { columns, rows } = state.size;
  if (theme.isSpoken) {
    return (
      <ThemeProvider value={theme}>
        <Spoken state={state} />
      </ThemeProvider>
    );
  }
  if (isTooSmall(state.size)) {
    return (
      <Text wrap="truncate">{`soup needs ${SMALLEST.columns} x ${SMALLEST.rows}; here are ${columns} x ${rows}`}</Text>
    );
  }
  const layout = layoutOf(state.size);
  const { width, height, isRoomy } = layout;
  const words = wordsOf(state, width);
  return (
    <ThemeProvider value={theme}>
      <Box flexDirection="column" width={width} height={height} overflow="hidden">
        <Header screen={state.screen} width={width} />
        {isRoomy && <Box height={1} />}
        <ScreenView state={state} layout={layout} />
        {isRoomy && <Box height={1} />}
        {words ? (
          <Words {...words} width={width} rows={2} />
        ) : (
          <Box height={2} flexDirection="column">
            <WorkLine state={state} width={width} />
            <MachineLine state={state} width={width} />
          </Box>
        )}
        <Box height={1}>
          <Hints state={state} width={width} />
        </Box>
      </Box>
    </ThemeProvider>
  );
}

function ScreenView({ state, layout }: { readonly state: State; readonly layout: Layout }) {
  switch (state.screen) {
    case 'kitchen':
      return <Kitchen state={state} layout={layout} />;
    case 'blocks':
      return <Blocks state={state} layout={layout} />;
    case 'compare':
      return <Compare state={state} layout={layout} />;
    case 'keep':
      return <Keep state={state} layout={layout} />;
    case 'help':
      return <Help state={state} layout={layout} />;
  }
}

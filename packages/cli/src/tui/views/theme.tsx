/** How things look: few colours, and none of them says anything that a character does not say as well. */
import { extendTheme, ThemeProvider as LibraryTheme, defaultTheme as libraryTheme } from '@inkjs/ui';
import { createContext, type ReactNode, useContext } from 'react';
import type { PictureMode } from '../../image/terminal-picture.js';

export interface Glyphs {
  readonly on: string;
  readonly off: string;
  readonly bad: string;
  readonly note: string;
  readonly lock: string;
  readonly focus: string;
  readonly full: string;
  readonly empty: string;
  readonly bars: readonly string[];
  readonly dot: string;
}

export interface Theme {
  /** Of what has the focus; undefined without colours. */
  readonly accent: string | undefined;
  readonly bad: string | undefined;
  readonly glyphs: Glyphs;
  readonly pictures: PictureMode;
  /** Sentences instead of a picture of the screen. */
  readonly isSpoken: boolean;
  /** How keys are called where there are no arrows. */
  keyName(key: string): string;
  /** A frame in the characters that there are; each stays one column wide. */
  spelled(frame: string): string;
}

const UNICODE: Glyphs = {
  on: '●',
  off: '○',
  bad: '✕',
  note: '›',
  lock: '◆',
  focus: '▸',
  full: '━',
  empty: '─',
  bars: [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
  dot: '·',
};

const ASCII: Glyphs = {
  on: '*',
  off: 'o',
  bad: 'x',
  note: ':',
  lock: '#',
  focus: '>',
  full: '=',
  empty: '-',
  bars: [' ', '.', '.', ':', ':', '-', '=', '#', '@'],
  dot: '-',
};

type Env = Readonly<Record<string, string | undefined>>;

export function themeOf(env: Env, pictures: PictureMode, isSpoken = false): Theme {
  const isPlain = Boolean(env.NO_COLOR) || env.TERM === 'dumb' || /-m(ono)?$|^vt\d/.test(env.TERM ?? '');
  const isUnicode = knowsUnicode(env);
  const isBlocks = pictures === 'truecolor' || pictures === '256';
  return {
    accent: isPlain ? undefined : 'cyan',
    bad: isPlain ? undefined : 'red',
    glyphs: isUnicode ? UNICODE : ASCII,
    pictures: isBlocks && !isUnicode ? 'ascii' : pictures,
    isSpoken,
    keyName: (key) => (isSpoken ? spoken(key) : isUnicode ? key : key.replace(/[←→↑↓]+/g, 'arrows')),
    spelled: (frame) => (isUnicode ? frame : frame.replaceAll('…', '~')),
  };
}

const spoken = (key: string): string => key.replace('←→', 'left or right').replace('↑↓', 'up or down');

/** A charset that is named and is not UTF-8 settles it; the Linux console has few characters in its font. */
function knowsUnicode({ LC_ALL, LC_CTYPE, LANG, TERM }: Env): boolean {
  const charset = /\.([^@]+)/.exec(LC_ALL || LC_CTYPE || LANG || '')?.[1];
  return TERM !== 'linux' && (charset === undefined || /^utf-?8$/i.test(charset));
}

const ThemeContext = createContext<Theme>(themeOf({}, 'none'));

export function ThemeProvider({ value, children }: { readonly value: Theme; readonly children: ReactNode }) {
  return (
    <ThemeContext.Provider value={value}>
      <LibraryTheme theme={libraryThemeOf(value)}>{children}</LibraryTheme>
    </ThemeContext.Provider>
  );
}

/** The same for components of Ink's own library. */
const libraryThemeOf = ({ glyphs, accent, bad }: Theme) =>
  extendTheme(libraryTheme, {
    components: {
      StatusMessage: {
        styles: { icon: ({ variant }) => ({ color: variant === 'error' ? bad : accent }) },
        config: ({ variant }) => ({ icon: variant === 'error' ? glyphs.bad : glyphs.note }),
      },
    },
  });

export const useTheme = (): Theme => useContext(ThemeContext);

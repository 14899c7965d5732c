/** How things look: few colours, and none of them says anything that a character does not say as well. */
import { createContext, useContext } from 'react';
import type { PictureMode } from '../../image/terminal-picture.js';

export interface Glyphs {
  readonly on: string;
  readonly off: string;
  readonly bad: string;
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
}

const UNICODE: Glyphs = {
  on: '●',
  off: '○',
  bad: '✕',
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
  lock: '#',
  focus: '>',
  full: '=',
  empty: '-',
  bars: [' ', '.', '.', ':', ':', '-', '=', '#', '@'],
  dot: '-',
};

type Env = Readonly<Record<string, string | undefined>>;

export function themeOf(env: Env, pictures: PictureMode): Theme {
  const isPlain = Boolean(env.NO_COLOR) || env.TERM === 'dumb' || /-m(ono)?$|^vt\d/.test(env.TERM ?? '');
  return {
    accent: isPlain ? undefined : 'cyan',
    bad: isPlain ? undefined : 'red',
    glyphs: knowsUnicode(env) ? UNICODE : ASCII,
    pictures,
  };
}

/** A charset that is named and is not UTF-8 settles it; the Linux console has few characters in its font. */
function knowsUnicode({ LC_ALL, LC_CTYPE, LANG, TERM }: Env): boolean {
  const charset = /\.([^@]+)/.exec(LC_ALL || LC_CTYPE || LANG || '')?.[1];
  return TERM !== 'linux' && (charset === undefined || /^utf-?8$/i.test(charset));
}

const ThemeContext = createContext<Theme>(themeOf({}, 'none'));
export const ThemeProvider = ThemeContext.Provider;
export const useTheme = (): Theme => useContext(ThemeContext);

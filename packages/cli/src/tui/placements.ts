/** Where the terminal draws which picture, on terminals that draw pictures themselves. */
import { type PictureMode, terminalPicture } from '../image/terminal-picture.js';
import { opaque } from '../picture-file.js';
import type { Drawn } from './engine/protocol.js';
import { type Area, isTooSmall, layoutOf } from './layout.js';
import { isGraphic } from './picture-text.js';
import type { Placement } from './screen.js';
import { type State, shownOf } from './state/state.js';
import { stripOf, type Tile, tilesOf } from './tiles.js';

export const DELETE_KITTY_PICTURES = '\x1b_Ga=d,q=2\x1b\\';

export function placementsOf(state: State, mode: PictureMode): readonly Placement[] {
  if (!isGraphic(mode) || isTooSmall(state.size)) return [];
  const layout = layoutOf(state.size);
  const all = (tiles: readonly Tile[]) =>
    tiles.flatMap(({ picture, area }) => (picture ? [placed(picture, area, mode)] : []));
  if (state.screen === 'compare') return all(tilesOf(state, layout));
  if (state.screen !== 'kitchen' && state.screen !== 'blocks') return [];
  const shown = shownOf(state);
  const preview = shown ? [placed(shown.picture, layout.preview, mode)] : [];
  return state.screen === 'kitchen' ? [...preview, ...all(stripOf(state, layout))] : preview;
}

const made = new WeakMap<Drawn, Map<string, string>>();

function placed(picture: Drawn, area: Area, mode: PictureMode): Placement {
  const { column, row, columns, rows } = area;
  const size = `${columns}x${rows} ${mode}`;
  const texts = made.get(picture) ?? new Map<string, string>();
  made.set(picture, texts);
  const text = texts.get(size) ?? terminalPicture(opaque(picture.image), { columns, rows, mode, enlarge: true });
  texts.set(size, text);
  return { column, row, key: `${picture.key} ${size}`, text };
}

/** Light, dark, or what the system says. */
import { signal } from '@preact/signals';
import { IconButton } from './fields.js';
import { Icon } from './icons.js';

const SAVED = 'theme';
const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

const theme = signal<Theme>(THEMES.find((one) => one === localStorage.getItem(SAVED)) ?? 'system');

function set(next: Theme): void {
  theme.value = next;
  localStorage.setItem(SAVED, next);
  document.documentElement.dataset.theme = next;
}

set(theme.value);

export function ThemeSwitch() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  return (
    <IconButton label={`Theme: ${theme.value}`} onClick={() => set(next)}>
      <Icon name="theme" />
    </IconButton>
  );
}

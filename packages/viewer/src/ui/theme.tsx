/** Light, dark, or what the system says. */
import { computed, signal } from '@preact/signals';
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

const dark = matchMedia('(prefers-color-scheme: dark)');
const systemIsDark = signal(dark.matches);
dark.addEventListener('change', ({ matches }) => {
  systemIsDark.value = matches;
});

/** For what takes its colours from the style sheet by itself, and has to when they change. */
export const isDark = computed(() => (theme.value === 'system' ? systemIsDark.value : theme.value === 'dark'));

export function ThemeSwitch() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  return (
    <IconButton label={`Theme: ${theme.value}`} onClick={() => set(next)}>
      <Icon name="theme" />
    </IconButton>
  );
}

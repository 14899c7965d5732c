/** Drawn on a grid of 20, in the colour of the text. They say nothing by themselves: what they are on has a label. */
const PATHS = {
  lock: 'M6 9V6.5a4 4 0 0 1 8 0V9M5 9h10v8H5z',
  unlock: 'M6 9V6.5a4 4 0 0 1 7.6-1.7M5 9h10v8H5z',
  cross: 'M5.5 5.5l9 9m0-9l-9 9',
  undo: 'M7.5 4.5L4 8l3.5 3.5M4 8h7.5a4 4 0 0 1 0 8H8',
  redo: 'M12.5 4.5L16 8l-3.5 3.5M16 8H8.5a4 4 0 0 0 0 8H12',
  dice: 'M4 4h12v12H4zM7.5 7.5h.01m4.99 0h.01M10 10h.01M7.5 12.5h.01m4.99 0h.01',
  theme: 'M10 3.5a6.5 6.5 0 1 0 0 13zM10 3.5a6.5 6.5 0 0 1 0 13',
  plus: 'M10 4.5v11M4.5 10h11',
  save: 'M10 3.5v9m-3.5-3.5L10 12.5 13.5 9M4 16.5h12',
  blocks: 'M4 5.5h7m-7 4.5h12m-12 4.5h4',
} as const;

export const Icon = ({ name }: { name: keyof typeof PATHS }) => (
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);

/** A bowl with steam. */
export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
    <path class="steam" d="M12 11c-2-2.2 2-3.8 0-6.5M19.5 11c-2-2.2 2-3.8 0-6.5" />
    <path class="bowl" d="M3.5 14.5h25a12.5 12.5 0 0 1-8.3 11.8v1.7h-8.4v-1.7A12.5 12.5 0 0 1 3.5 14.5z" />
  </svg>
);

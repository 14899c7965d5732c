/** Texts with gaps: "a {animal} by {artist}", "noto:{1-a}+ink:{a}"; {{ and }} are braces. */
import { nearest } from '@diffusion-soup/core';
import { printable } from '../text.js';

export class TemplateError extends Error {}

const GAP = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

/** Fills every gap; `occurrence` counts the gaps of one name from 0. */
export function fill(
  template: string,
  valueFor: (name: string, occurrence: number) => string | undefined,
  names: () => string[],
) {
  const seen = new Map<string, number>();
  return template.replace(GAP, (gap, inner: string | undefined) => {
    if (gap === '{{' || gap === '}}') return gap[0]!;
    const name = inner?.trim();
    if (name === undefined) throw new TemplateError(`a single "${gap}"; write "${gap}${gap}" for a brace`);
    const occurrence = seen.get(name) ?? 0;
    seen.set(name, occurrence + 1);
    const rest = /^1\s*-\s*(\w+)$/.exec(name)?.[1];
    const value = rest === undefined ? valueFor(name, occurrence) : complement(valueFor(rest, occurrence));
    if (value !== undefined) return value;
    const known = names();
    const near = nearest(rest ?? name, known);
    const hint = near
      ? `did you mean {${near}}?`
      : known.length > 0
        ? `there are ${known.map((one) => `{${one}}`).join(', ')}`
        : 'there are none';
    throw new TemplateError(
      `nothing is called {${printable(name).slice(0, 60)}} here; ${hint} (write {{ and }} for braces)`,
    );
  });
}

/** 1 - x in decimals, so that 0.3 gives 0.7. */
function complement(text: string | undefined): string | undefined {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? decimal(1 - value) : undefined;
}

/** Without the noise of binary fractions. */
export const decimal = (value: number): string => String(Number(value.toFixed(10)));

/** Inputs that hold what is being typed until it is done, and say when it is no good. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

interface TypedProps {
  readonly label: string;
  readonly value: string;
  /** Whether it can be taken as it is. */
  readonly accept: (text: string) => boolean;
  readonly onCommit: (text: string) => void;
  readonly class?: string;
  readonly inputMode?: 'decimal' | 'numeric';
  readonly hint?: string;
}

/** Committed by Enter or by leaving; Escape gives back what was there. */
export function Typed({ label, value, accept, onCommit, inputMode = 'decimal', hint, ...rest }: TypedProps) {
  const [draft, setDraft] = useState<string>();
  const isBad = draft !== undefined && !accept(draft);
  const commit = () => {
    if (draft !== undefined && draft !== value && !isBad) onCommit(draft);
    setDraft(undefined);
  };
  return (
    <input
      class={rest.class}
      inputMode={inputMode}
      autocomplete="off"
      spellcheck={false}
      aria-label={label}
      aria-invalid={isBad}
      title={hint}
      value={draft ?? value}
      onInput={({ currentTarget }) => setDraft(currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit();
        if (event.key !== 'Escape' || draft === undefined) return;
        event.stopPropagation(); // of the page, it would stop the drawing
        setDraft(undefined);
      }}
    />
  );
}

interface SliderProps {
  readonly label: string;
  readonly value: number;
  readonly max: number;
  readonly min?: number;
  readonly step: number;
  readonly text?: string;
  readonly onMove: (value: number) => void;
  readonly onRest?: () => void;
}

export function Slider({ label, value, min = 0, max, step, text, onMove, onRest }: SliderProps) {
  return (
    <input
      type="range"
      class="slider"
      aria-label={label}
      aria-valuetext={text}
      {...{ min, max, step }}
      value={value}
      style={{ '--fill': `${((value - min) / (max - min)) * 100}%` }}
      onInput={({ currentTarget }) => onMove(currentTarget.valueAsNumber)}
      onChange={onRest}
    />
  );
}

interface FieldProps {
  readonly label: string;
  readonly children: ComponentChildren;
}

/** A label above one control. */
export const Field = ({ label, children }: FieldProps) => (
  // biome-ignore lint/a11y/noLabelWithoutControl: the control is its child
  <label class="field">
    <span>{label}</span>
    {children}
  </label>
);

interface IconButtonProps {
  readonly label: string;
  readonly onClick: () => void;
  readonly disabled?: boolean;
  readonly pressed?: boolean;
  readonly children: ComponentChildren;
}

export const IconButton = ({ label, onClick, disabled, pressed, children }: IconButtonProps) => (
  <button
    type="button"
    class="icon-button"
    aria-label={label}
    title={label}
    aria-pressed={pressed}
    {...{ onClick, disabled }}
  >
    {children}
  </button>
);

/** From what a manifest says to its items: axes combined, templates filled, every field checked where it was written. */
import { createHash } from 'node:crypto';
import { type Place, type Problem, refuse, SoupError } from '@diffusion-soup/core';
import { axisValues, beside, linesOf, MOST_ITEMS } from './axes.js';
import { FIELDS, FieldError, type FieldName, type Fields, ITEM_DEFAULTS, isField } from './fields.js';
import type { Item } from './item.js';
import type { RawAxis, RawItem, RawManifest } from './read-manifest.js';
import { fill, TemplateError } from './template.js';

interface Axis {
  readonly name: string;
  readonly values: readonly unknown[];
}

export interface ExpandOptions {
  /** Under what the manifest says: options of the command line. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

/** Throws a ConfigError with every mistake, each with its line and column. */
export async function expand(manifest: RawManifest, { defaults = {} }: ExpandOptions = {}): Promise<Item[]> {
  const problems: Problem[] = [];
  const complain = ({ line, column }: Place, message: string) =>
    void (problems.length < 1000 && problems.push({ line, column, path: '', message }));
  const axes = await readAxes(manifest.axes, complain, (axis) => axisValues(axis.name, axis.value, manifest.file));
  const wildcards = await readAxes(manifest.wildcards, complain, ({ value }) =>
    typeof value === 'string' ? linesOf(manifest.file, value) : axisValues('', value, manifest.file),
  );
  refuse(problems, manifest.file);
  const groups = groupsOf(axes, manifest, complain);
  refuse(problems, manifest.file);

  const items: Item[] = [];
  const alone: RawItem = { fields: {}, place: () => manifest.axes[0]?.place ?? manifest.defaults.place() };
  for (const raw of manifest.items.length > 0 ? manifest.items : [alone]) {
    // An axis is for items that do not say themselves.
    const open = groups.filter((group) => !group.every(({ name }) => name in raw.fields));
    const total = open.reduce((product, group) => product * group[0]!.values.length, 1);
    if (items.length + total > MOST_ITEMS) {
      complain(raw.place(), `more than ${MOST_ITEMS} items`);
      break;
    }
    for (let i = 0; i < total; i++) {
      const chosen = combination(open, i);
      for (const item of oneItem(raw, chosen, { manifest, defaults, wildcards, complain })) {
        items.push({ ...item, index: items.length });
      }
    }
  }
  refuse(problems, manifest.file);
  return items;
}

async function readAxes(
  raw: readonly RawAxis[],
  complain: (place: Place, message: string) => void,
  read: (axis: RawAxis) => Promise<readonly unknown[]>,
): Promise<Axis[]> {
  const axes: Axis[] = [];
  for (const axis of raw) {
    try {
      if (!/^[A-Za-z_]\w*$/.test(axis.name)) throw new FieldError('expected a name of letters, digits and _');
      axes.push({ name: axis.name, values: await read(axis) });
    } catch (error) {
      if (!(error instanceof FieldError) && !(error instanceof SoupError)) throw error;
      complain(axis.place, `${axis.name}: ${error.message}`);
    }
  }
  return axes;
}

/** Axes of one group run side by side. The first group changes slowest. */
function groupsOf(
  axes: readonly Axis[],
  { zip, axes: raw }: RawManifest,
  complain: (at: Place, message: string) => void,
) {
  const groups: Axis[][] = [];
  for (const axis of axes) {
    const names = zip.find((group) => group.includes(axis.name));
    const group = names && groups.find(([first]) => names.includes(first!.name));
    if (!group) groups.push([axis]);
    else {
      group.push(axis);
      const [a, b] = [group[0]!, axis];
      if (a.values.length === b.values.length) continue;
      const place = raw.find(({ name }) => name === axis.name)!.place;
      complain(
        place,
        `${b.name} has ${b.values.length} values but ${a.name}, beside which it runs, has ${a.values.length}`,
      );
    }
  }
  return groups;
}

function combination(groups: readonly (readonly Axis[])[], index: number): Map<string, unknown> {
  const chosen = new Map<string, unknown>();
  for (const group of [...groups].reverse()) {
    const length = group[0]!.values.length;
    for (const { name, values } of group) chosen.set(name, values[index % length]);
    index = Math.floor(index / length);
  }
  return chosen;
}

interface Context {
  readonly manifest: RawManifest;
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly wildcards: readonly Axis[];
  readonly complain: (place: Place, message: string) => void;
}

function oneItem(raw: RawItem, chosen: ReadonlyMap<string, unknown>, context: Context): Omit<Item, 'index'>[] {
  const { manifest, defaults, wildcards, complain } = context;
  const written: Record<string, unknown> = { ...defaults, ...manifest.defaults.fields };
  const vars: Record<string, string> = {};
  for (const [name, value] of chosen) {
    if (isField(name)) written[name] = value;
    vars[name] = typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
  // What an item says of its soup takes the place of a default of the other kind.
  if ('recipe' in raw.fields) for (const name of ['model', 'weights']) delete written[name];
  if ('model' in raw.fields) delete written.recipe;
  Object.assign(written, raw.fields);
  if (manifest.name !== undefined) written.name ??= manifest.name;
  const place = (name: string): Place =>
    name in raw.fields
      ? raw.place(name)
      : (manifest.axes.find((axis) => axis.name === name)?.place ??
        (name in manifest.defaults.fields ? manifest.defaults.place(name) : raw.place()));
  let failed = false;
  const attempt = <T>(name: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof FieldError) && !(error instanceof TemplateError)) throw error;
      failed = true;
      complain(place(name), `${name}: ${error.message}`);
      return undefined;
    }
  };
  Object.assign(
    vars,
    attempt('vars', () => (written.vars === undefined ? {} : FIELDS.vars(written.vars))),
  );
  const seed = attempt('seed', () => FIELDS.seed(written.seed ?? ITEM_DEFAULTS.seed.toString())) ?? 0n;
  /** The first word of each wildcard, by which names and grids may call the picture. */
  const picked: Record<string, string> = {};
  const valueFor = (template: string) => (name: string, occurrence: number) => {
    if (Object.hasOwn(vars, name)) return vars[name];
    const wildcard = wildcards.find((one) => one.name === name);
    if (!wildcard) return undefined;
    const word = pick(wildcard, `${seed}\0${template}\0${occurrence}`);
    picked[name] ??= word;
    return word;
  };
  const names = () => [...Object.keys(vars), ...wildcards.map(({ name }) => name)];
  const filled = (value: unknown): unknown => {
    if (typeof value === 'string') return fill(value, valueFor(value), names);
    return Array.isArray(value) ? value.map(filled) : value;
  };
  const fields: { [Name in FieldName]?: unknown } = {};
  for (const [name, value] of Object.entries(written)) {
    // Of a file's name the gaps are filled when everything is known.
    if (!isField(name) || name === 'vars') continue;
    attempt(name, () => {
      fields[name] = FIELDS[name](name === 'name' ? value : filled(value));
    });
  }
  const { prompt, model, recipe, weights, base, sampler, size, image, strength, name, ...others } = fields as Fields;
  const said = { ...ITEM_DEFAULTS, ...others };
  if (!failed) {
    const missing = (field: string, message: string) => {
      failed = true;
      complain(raw.place(), `${field} is missing; ${message}`);
    };
    if (prompt === undefined) missing('prompt', 'expected what to draw');
    if (model === undefined && recipe === undefined) missing('model', 'expected a model, or a recipe');
    if (model !== undefined && recipe !== undefined) {
      failed = true;
      complain(place('recipe'), 'an item has a model or a recipe, not both');
    }
    if (strength !== undefined && image === undefined) {
      failed = true;
      complain(place('strength'), 'strength: it needs a picture to start from; add image');
    }
  }
  if (failed) return [];
  return Array.from({ length: said.count }, (_, i) => ({
    line: raw.place().line,
    soup: {
      ...(model && { model }),
      ...(recipe !== undefined && { recipe: beside(manifest.file, recipe) }),
      ...(weights && { weights }),
      ...(base !== undefined && { base }),
    },
    prompt: prompt!,
    negative: said.negative,
    seed: BigInt.asUintN(64, seed + BigInt(i)),
    steps: said.steps,
    ...(sampler && { sampler }),
    guidance: said.guidance,
    ...(size && { size }),
    clipSkip: said.clip_skip,
    noise: said.noise,
    ...(image !== undefined && { image: beside(manifest.file, image) }),
    ...(strength !== undefined && { strength }),
    ...(name !== undefined && { name }),
    vars: { ...picked, ...vars, ...(said.count > 1 && { nth: String(i + 1) }) },
  }));
}

/** The same item gets the same word in every run. */
function pick({ name, values }: Axis, key: string): string {
  const hash = createHash('sha256').update(`${name}\0${key}`).digest();
  return String(values[Number(hash.readBigUInt64BE() % BigInt(values.length))]);
}

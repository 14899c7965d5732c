/** Whether a soup is what its ledger says: by its hashes, and by making it again. */
import { checkLedger, componentRoot, type Ledger, type TensorHash } from '@diffusion-soup/core';
import type { ModelHash } from '../hash/model.js';
import { type ComponentHash, sha256 } from '../hash/weights.js';

export interface VerifiedPart {
  readonly name: string;
  /** By the ledger. */
  readonly expected: string | undefined;
  /** Of the weights as they are. */
  readonly found: string | undefined;
  /** Of the soup that was made again; undefined when it was not. */
  readonly rebuilt?: string;
  readonly tensors: number;
  /** Tensors that differ between the weights and the soup made again, by name. */
  readonly differing: readonly string[];
}

export interface Verdict {
  readonly ok: boolean;
  readonly parts: readonly VerifiedPart[];
  /** In words. */
  readonly problems: readonly string[];
}

/** The hashes of a part's tensors, made again of its ingredients; undefined for a part that they do not make. */
export type Rebuild = (part: string) => AsyncIterable<TensorHash> | undefined;

/** Compares a soup's weights with its ledger, and with what `rebuild` makes when it is given. */
export async function verifySoup(ledger: Ledger, soup: ModelHash, rebuild?: Rebuild): Promise<Verdict> {
  const problems = checkLedger(ledger, sha256).map((problem) => `the ledger contradicts itself: ${problem}`);
  const recorded = new Map(Object.entries(ledger.result.components));
  const actual: ReadonlyMap<string, ComponentHash> = soup.components;
  const parts: VerifiedPart[] = [];
  for (const name of new Set([...recorded.keys(), ...actual.keys()])) {
    const [expected, found] = [recorded.get(name)?.root, actual.get(name)?.root];
    if (found === undefined) problems.push(`the soup has no ${name}, which the ledger speaks of`);
    else if (expected === undefined) problems.push(`the soup has a ${name}, of which the ledger says nothing`);
    else if (expected !== found) problems.push(`${name}: the weights are not those that the ledger speaks of`);
    const made = rebuild?.(name);
    if (rebuild && !made) problems.push(`${name}: the ingredients do not make one`);
    const compared = made && (await compare(made, actual.get(name)?.tensors ?? new Map()));
    if (compared && compared.rebuilt !== found) problems.push(`${name}: ${inWords(compared.differing)}`);
    parts.push({ name, expected, found, tensors: actual.get(name)?.tensors.size ?? 0, differing: [], ...compared });
  }
  return { ok: problems.length === 0, parts, problems };
}

async function compare(made: AsyncIterable<TensorHash>, actual: ReadonlyMap<string, TensorHash>) {
  const all: TensorHash[] = [];
  const differing: string[] = [];
  for await (const tensor of made) {
    all.push(tensor);
    const other = actual.get(tensor.name);
    const isSame =
      other?.dataHash === tensor.dataHash && other.dtype === tensor.dtype && `${other.shape}` === `${tensor.shape}`;
    if (!isSame) differing.push(tensor.name);
  }
  const names = new Set(all.map(({ name }) => name));
  differing.push(...[...actual.keys()].filter((name) => !names.has(name)));
  return { rebuilt: componentRoot(all, sha256), differing };
}

const SHOWN = 3;

function inWords(differing: readonly string[]): string {
  const more = differing.length > SHOWN ? ` and ${differing.length - SHOWN} more` : '';
  return `made again it differs in ${differing.slice(0, SHOWN).join(', ')}${more}`;
}

/** What a soup is made of, as hashes, and what can be proved of it. */
export { byCodePoint, canonicalJson, fromHex, toHex } from './canonical.js';
export {
  type AddOptions,
  type Change,
  makeLedger,
  type Plan,
  refuseTwins,
  type Sealed,
  seal,
  shareOf,
  withIngredient,
  withoutIngredient,
} from './change.js';
export { checkLedger, receiptsOf } from './check.js';
export { contentOf, formatLedger, MAX_LEDGER_BYTES, parseLedger, parseReceipt } from './ledger.js';
export { inclusionPath, leafHash, merkleRoot, type Sha256, verifyInclusion } from './merkle.js';
export { withOwnNames } from './names.js';
export {
  isPantryName,
  type PantryEntry,
  type PantryIndex,
  pantryIndex,
  parsePantryIndex,
} from './pantry-index.js';
export { verifyReceipt } from './receipt.js';
export { byShare, componentRoot, modelRoot, setRoot, type TensorHash } from './roots.js';
export type {
  HistoryEntry,
  Ledger,
  LedgerComponents,
  LedgerIngredient,
  LedgerModel,
  LedgerResult,
  LedgerSums,
  Removal,
  RemovalReceipt,
  Share,
  Tombstone,
} from './schema.js';

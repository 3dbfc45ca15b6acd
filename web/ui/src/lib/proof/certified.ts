/** Who decides a height, and whether enough of them signed a header. */
import { ascii, BorshReader, concat, fromHex, sha256, toHex, u32, u64, type Bytes } from './bytes';
import type { CertificateFile, HandoverFile, ValidatorFile } from './receipt-file';

const ADDRESS_LENGTH = 20;
const PRECOMMIT = 2;
const VOTE_DOMAIN = 'hidamari/vote/1';

/** Where trust begins: the community's chain and the validators of its genesis. */
export interface Anchor {
  chain_id: string;
  validators: ValidatorFile[];
}

/** What a header says that proofs use. */
export interface Header {
  hash: string;
  chain: string;
  height: bigint;
  time_ms: number;
  roots: Record<'transaction' | 'balance' | 'result', string>;
  next_validators: string;
}

/** One vote of a certificate. */
export interface CheckedVote {
  validator: string;
  /** 0 if it has no vote at this height. */
  power: number;
  holds: boolean;
}

export interface CheckedCertificate {
  votes: CheckedVote[];
  signed_power: number;
  total_power: number;
  /** Whether all votes hold and come to more than two thirds. */
  holds: boolean;
  problem: CertificateProblem | null;
}

export type CertificateProblem = 'other_block' | 'stranger' | 'twice' | 'signature' | 'no_quorum';
export type HandoverProblem =
  | 'chain'
  | 'order'
  | 'not_certified'
  | 'other_validators'
  | 'no_change'
  | 'not_needed';

export async function readHeader(text: string): Promise<Header> {
  const bytes = fromHex(text) ?? new Uint8Array();
  const reader = new BorshReader(bytes);
  reader.u16();
  const chain = reader.hex(32);
  const [height, time_ms] = [reader.u64(), Number(reader.i64())];
  reader.hex(32);
  const [transaction, balance, result] = [reader.hex(32), reader.hex(32), reader.hex(32)];
  return {
    hash: toHex(await sha256(ascii('hidamari/header/2'), bytes)),
    chain,
    height,
    time_ms,
    roots: { transaction, balance, result },
    next_validators: reader.hex(32),
  };
}

async function addressOf(key: string): Promise<string> {
  return toHex(await sha256(fromHex(key) ?? new Uint8Array())).slice(0, ADDRESS_LENGTH * 2);
}

/** The hash by which headers name a set of validators. */
export async function validatorsHash(validators: readonly ValidatorFile[]): Promise<string> {
  const entries = validators.map(({ key, power }) =>
    concat(fromHex(key) ?? new Uint8Array(), u64(power)),
  );
  const set = concat(u32(validators.length), ...entries);
  return toHex(await sha256(ascii('hidamari/validators/1'), set));
}

function voteBytes(chain: string, certificate: CertificateFile, voter: string): Bytes {
  return concat(
    Uint8Array.of(VOTE_DOMAIN.length),
    ascii(VOTE_DOMAIN),
    fromHex(chain) ?? new Uint8Array(),
    Uint8Array.of(PRECOMMIT),
    u64(certificate.height),
    u32(certificate.round),
    Uint8Array.of(1),
    fromHex(certificate.block) ?? new Uint8Array(),
    fromHex(voter) ?? new Uint8Array(),
  );
}

async function signatureHolds(key: string, signature: string, message: Bytes): Promise<boolean> {
  try {
    const raw = fromHex(key) ?? new Uint8Array();
    const imported = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify']);
    const bytes = fromHex(signature) ?? new Uint8Array();
    return await crypto.subtle.verify('Ed25519', imported, bytes, message);
  } catch {
    // A key that is no point of the curve signs nothing.
    return false;
  }
}

/** Checks that validators with more than two thirds of the power signed exactly this header. */
export async function checkCertificate(
  header: Header,
  certificate: CertificateFile,
  validators: readonly ValidatorFile[],
): Promise<CheckedCertificate> {
  const known = new Map<string, ValidatorFile>();
  for (const validator of validators) known.set(await addressOf(validator.key), validator);
  const votes: CheckedVote[] = [];
  for (const { validator, signature } of certificate.signatures) {
    const voter = known.get(validator);
    const message = voteBytes(header.chain, certificate, validator);
    const holds = voter !== undefined && (await signatureHolds(voter.key, signature, message));
    votes.push({ validator, power: voter?.power ?? 0, holds });
  }
  const total_power = validators.reduce((sum, validator) => sum + validator.power, 0);
  const signed_power = votes.reduce((sum, vote) => sum + (vote.holds ? vote.power : 0), 0);
  const problem = ((): CertificateProblem | null => {
    const height = BigInt(certificate.height);
    if (certificate.block !== header.hash || height !== header.height) return 'other_block';
    if (votes.some((vote) => !known.has(vote.validator))) return 'stranger';
    if (new Set(votes.map((vote) => vote.validator)).size < votes.length) return 'twice';
    if (votes.some((vote) => !vote.holds)) return 'signature';
    // Whole numbers that may pass 2^53 once multiplied.
    return BigInt(signed_power) * 3n > BigInt(total_power) * 2n ? null : 'no_quorum';
  })();
  return { votes, signed_power, total_power, holds: problem === null, problem };
}

/** The validators of a height, by certified changes from those of the genesis; or what fails. */
export async function followHandovers(
  anchor: Anchor,
  handovers: readonly HandoverFile[],
  wanted: bigint,
): Promise<{ validators: ValidatorFile[] } | { problem: HandoverProblem }> {
  let validators = anchor.validators;
  let last = 0n;
  for (const handover of handovers) {
    const header = await readHeader(handover.header);
    if (header.height >= wanted) return { problem: 'not_needed' };
    if (header.chain !== anchor.chain_id) return { problem: 'chain' };
    if (header.height <= last) return { problem: 'order' };
    const { holds } = await checkCertificate(header, handover.certificate, validators);
    if (!holds) return { problem: 'not_certified' };
    const given = await validatorsHash(handover.validators);
    if (given !== header.next_validators) return { problem: 'other_validators' };
    if (given === (await validatorsHash(validators))) return { problem: 'no_change' };
    validators = handover.validators;
    last = header.height;
  }
  return { validators };
}

export interface Vote {
  address: string;
  power: number;
  signed: boolean;
}

/**
 * Every validator with whether its vote is in the certificate.
 *
 * Signers that the community does not list any more stand first: the set may have changed since.
 */
export function votesOf(
  signatures: readonly { validator: string; power: number }[],
  validators: readonly { address: string; power: number }[],
): Vote[] {
  const signers = new Set(signatures.map((signature) => signature.validator));
  const known = new Set(validators.map((validator) => validator.address));
  const former = signatures
    .filter((signature) => !known.has(signature.validator))
    .map(({ validator, power }) => ({ address: validator, power, signed: true }));
  const current = validators.map(({ address, power }) => ({
    address,
    power,
    signed: signers.has(address),
  }));
  return [...former, ...current];
}

const SHORT_LENGTH = 6;

/** The part of a party's random identifier that people read out to each other. */
export function shortParty(party: string): string {
  return party.slice(0, SHORT_LENGTH);
}

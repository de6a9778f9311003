/** Generations that are told apart: more would reach what browsers give candidates of their own. */
const MOST = 60;
/** The type preference of the first generation: above that of relays (RFC 8445 section 5.1.2.2 has 0 for them, Chromium up to 2). */
const LOWEST = 20;

/**
 * A candidate of the other end, ranked by its ICE generation before all else: one of a later generation makes a better pair than any of an
 * earlier one, whatever the own candidates are, and a pair that works is used at once. With the priorities that browsers give, a pair on a
 * network that is gone may be the better one, and Chromium leaves it only when it has heard nothing for 3.5 s. Relays keep their place below all others.
 */
export function ranked(candidate: string, generation: number): string {
  return candidate.replace(/^((?:a=)?candidate:\S+ \d+ \S+) (\d+) (\S+ \d+ typ (?!relay)\S+)/i, (_, head: string, priority: string, tail: string) => {
    const rank = (LOWEST + Math.min(generation, MOST)) * 2 ** 24 + Math.floor(Number(priority) / 2 ** 8);
    return `${head} ${rank} ${tail}`;
  });
}

/** The same of all candidates in a description. */
export function rankedDescription(sdp: string, generation: number): string {
  return sdp.replace(/^a=candidate:.*$/gm, (line) => ranked(line, generation));
}

/** The user name fragment of a description: another one is another ICE generation (RFC 8445 section 2.4). */
export function generationOf(sdp: string): string | undefined {
  return /^a=ice-ufrag:(.*?)\r?$/m.exec(sdp)?.[1];
}

/** The origin of a description (RFC 8866 section 5.2): another offer has another one. */
export function originOf(sdp: string): string | undefined {
  return /^o=(.*?)\r?$/m.exec(sdp)?.[1];
}

/** Whether a description was made after another one of the same end, whose number of the version rises (RFC 9429 section 5.2.2). */
export function isNewer(sdp: string, than: string | undefined): boolean {
  const version = (of: string) => Number(originOf(of)?.split(' ')[2]);
  return than === undefined || version(sdp) > version(than);
}

/** What the page reads of a token. */
export interface Claims {
  /** The name that the bearer is shown by; the server takes no other. */
  name?: unknown;
  grants?: { library?: unknown; record?: unknown };
}

/** The middle of a JWT (RFC 7519): it is not checked, only read. Nothing of one that cannot be read. */
export function claims(token: string): Claims | undefined {
  try {
    const text = atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'));
    const found: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    return typeof found === 'object' && found !== null ? (found as Claims) : undefined;
  } catch {
    return undefined;
  }
}

/** The name that a token gives its bearer, if it gives one. */
export function nameOf(token: string | undefined): string | undefined {
  const name = token === undefined ? undefined : claims(token)?.name;
  return typeof name === 'string' && name.trim() ? name : undefined;
}

/** What somebody may do with what is kept of a room. */
export type Access = 'none' | 'view' | 'manage';

/**
 * What a token says that its bearer may do, so that the page offers nothing that the server would refuse; the server decides.
 * Without a token, or with one that cannot be read here, everything is offered.
 */
export function accessOf(token: string | undefined): Access {
  const grants = token === undefined ? undefined : claims(token)?.grants;
  if (!grants) return 'manage';
  if (grants.library === 'none' || grants.library === 'view' || grants.library === 'manage') return grants.library;
  return grants.record === true ? 'manage' : 'none';
}

interface Claims {
  grants?: { library?: unknown; record?: unknown };
}

/** The middle of a JWT (RFC 7519): it is not checked, only read. */
function claims(token: string): Claims | undefined {
  try {
    const text = atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'));
    const found: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    return typeof found === 'object' && found !== null ? (found as Claims) : undefined;
  } catch {
    return undefined;
  }
}

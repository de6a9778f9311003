import { claims } from '../lib/token.ts';

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

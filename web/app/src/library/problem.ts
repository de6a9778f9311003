import { LibraryError } from '@althing/sdk';
import type { Mixdown } from '@althing/sdk';
import { m } from '../paraglide/messages.js';

/** Why the library has not answered as it was asked, and what to do about it. */
export function libraryProblem(error: unknown, what: 'list' | 'item' | 'shared' = 'list'): string {
  if (!(error instanceof LibraryError)) return m.error_other({ message: String(error) });
  const { status, code } = error;
  if (status === 0 && code !== 'foreign') return m.error_unreachable();
  if (what === 'shared' && (code.includes('expired') || status === 410)) return m.library_share_expired();
  if (what === 'shared' && (status === 400 || status === 401 || status === 403)) return m.library_share_invalid();
  if (code === 'token_expired') return m.error_token_expired();
  if (code === 'token_missing' || (status === 401 && code === '')) return m.error_token_missing();
  if (status === 401 || code === 'token_invalid' || code === 'token_wrong_room') return m.error_token();
  if (code === 'kicked') return m.error_kicked();
  if (status === 403) return m.library_forbidden();
  if (code === 'invalid_room_name') return m.error_room_name();
  if (status === 404 && what === 'list') return m.library_none_here();
  if (status === 404 || status === 410) return m.library_gone();
  if (code === 'library_full') return m.library_full();
  if (status === 409) return m.library_going_on();
  if (status === 429 || status >= 500) return m.error_later();
  return m.error_other({ message: error.message });
}

/** Whether a link has ended, or never was one: asking again changes nothing. */
export function isDead(error: unknown): boolean {
  return error instanceof LibraryError && [400, 401, 403, 404, 410].includes(error.status);
}

/** Why there is no film of a recording, where more can be said than the server says. */
export function filmProblem(problem: unknown): string | undefined {
  switch ((problem as { code?: unknown } | null)?.code) {
    case 'no_ffmpeg':
      return m.library_film_no_ffmpeg();
    case 'no_encoder':
      return m.library_film_no_encoder();
    case 'busy':
      return m.library_film_busy();
    case 'disk_full':
      return m.library_film_disk_full();
    case 'storage_unavailable':
      return m.library_film_away();
    case 'nothing_to_show':
      return m.library_film_nothing();
    case 'not_found':
      return m.library_gone();
    case 'too_long':
    case 'failed':
      return m.library_film_failed();
    default:
      return undefined;
  }
}

/** Whether a film is not there yet, and will be. */
export function isUnderway(mix: Mixdown | undefined): mix is Mixdown & { state: 'waiting' | 'fetching' | 'running' } {
  return mix?.state === 'waiting' || mix?.state === 'fetching' || mix?.state === 'running';
}

/** How far a film is that is not there yet: how many are before it, what is fetched first, how much is made, and whether that goes on. */
export function filmProgress({ film: kind, state, ahead = 0, progress }: Mixdown): string {
  const [film, percent] = [kind.toUpperCase(), Math.round(100 * (progress ?? 0))];
  if (state === 'fetching') return m.library_film_fetching({ film, percent });
  if (state === 'running') return m.library_film_running({ film, percent });
  if (progress !== undefined) return m.library_film_held({ film, percent });
  return ahead > 0 ? m.library_film_waiting({ film, ahead }) : m.library_film_next({ film });
}

import { isAlthingError } from '@althing/sdk';
import { m } from '../../paraglide/messages.js';
import { refusal } from '../wording.ts';

/** Why a file is not in the library, and what to do about it. */
export function uploadProblem(error: unknown): string {
  const code = error instanceof Error ? (error.cause as { code?: string } | undefined)?.code : undefined;
  if (isAlthingError(error, 'upload_failed')) return code === undefined ? m.error_unreachable() : m.error_later();
  if (code === 'no_room') return m.upload_no_room();
  if (code === 'limit_exceeded') return m.upload_too_large();
  return refusal(error, code);
}

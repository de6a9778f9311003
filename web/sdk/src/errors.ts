import type { ErrorCode } from './wire.ts';

/** What the client itself may find wrong, beside the codes of the server. */
export type ClientErrorCode =
  /** No answer came in time. */
  | 'timeout'
  /** The socket was lost, or could not be opened. */
  | 'connection_lost'
  /** The session is over: left, removed, or replaced. */
  | 'closed'
  /** The server said something that the protocol does not know. */
  | 'protocol'
  /** The session cannot be resumed any more. */
  | 'session_lost'
  /** The media connection could not be made. */
  | 'media_failed'
  /** The server has closed the data channels: what waited on them may be lost, and data goes by the socket from now on. */
  | 'data_closed'
  /** More is sent than this member may: what takes most will be ended if that goes on. */
  | 'publish_excess'
  /** More was sent than this member may, and what took most has been ended. */
  | 'publish_ended'
  /** No way to the server's media was found: it announces only addresses of its own machine. */
  | 'announced_loopback'
  /** No way to the server's media was found: it announces only addresses of a private network, and the page came from elsewhere. */
  | 'announced_private'
  /** No direct connection with the other end could be made, and the room's calls go no other way. */
  | 'direct_unreached'
  /** No way to the server's media was found: its ports are probably blocked on the way. */
  | 'ports_blocked'
  /** The server will not have a file, for the reason that the message gives, and `cause` for programs: `{ status, code }`. */
  | 'upload_refused'
  /** A file could not be uploaded: the server was not to be reached for long enough, or has lost what it had. */
  | 'upload_failed';

/** A request that was refused or could not be made. */
export class AlthingError extends Error {
  /** What is wrong, for programs. */
  readonly code: ErrorCode | ClientErrorCode;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;

  constructor(code: ErrorCode | ClientErrorCode, message: string, retryable = false, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AlthingError';
    this.code = code;
    this.retryable = retryable;
  }
}

/** Whether `error` is one of ours, with this code if given. */
export function isAlthingError(error: unknown, code?: AlthingError['code']): error is AlthingError {
  return error instanceof AlthingError && (code === undefined || error.code === code);
}

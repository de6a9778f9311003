import { AlthingError, isAlthingError } from './errors.ts';
import { Link } from './link.ts';
import type { Entry, LinkOptions, LinkState } from './link.ts';
import type { MemberId, OkResult, Request } from './wire.ts';

export type { Welcome } from './link.ts';

/** What `join` and `resume` return. */
export type Joined = Extract<OkResult, { of: 'joined' }>;
/** Whether the session has a socket. */
export type SignalingState = LinkState;

/** Who enters which room. */
export interface JoinRequest {
  room: string;
  name: string;
  /** Or where to ask for one: each time that the room is entered, since a call may outlast a token and its server. */
  token?: Token | undefined;
  /** The identity to have where no token says it: whoever knocks keeps one. */
  me?: MemberId | undefined;
  /** Whether to ask the moderators of a locked room: the join is refused all the same, until one of them lets this member in. */
  knock?: boolean;
}

/** A token, or what gives one. */
export type Token = string | (() => string | undefined | Promise<string | undefined>);

export interface SignalingOptions extends LinkOptions {
  /** Whether the member can be connected with another one directly. */
  direct?: boolean;
  /** Whether the media is encrypted end to end. */
  encrypted?: boolean;
}

/** The room as it is: after joining, after each resumption, and after joining anew because a session had expired. */
export interface Entered {
  joined: Joined;
  resumed: boolean;
}

/** A session in a room: a lost socket is replaced and the session resumed; one that has expired is joined anew. */
export class Signaling extends Link<Entered> {
  readonly #direct: boolean;
  readonly #encrypted: boolean;
  #join: JoinRequest | undefined;
  #resume: string | undefined;
  #me: MemberId | undefined;
  /** The direct connection that is up: a session that begins anew goes on with it. */
  held: string | undefined;
  #resumptions = 0;

  constructor({ direct = false, encrypted = false, ...options }: SignalingOptions) {
    super(options);
    this.#encrypted = encrypted;
    this.#direct = direct;
  }

  /** The `seq` of the last event, and how often the session was resumed. */
  get counters(): { seq: number; resumptions: number } {
    return { seq: this.seq, resumptions: this.#resumptions };
  }

  /** Opens a socket and enters the room. */
  async join(join: JoinRequest): Promise<Joined> {
    this.#join ??= join;
    return (await this.begin()).joined;
  }

  /** Gives up the session, not the room: leaves it and enters anew. */
  beginAnew(): Promise<void> {
    return this.renew(() => (this.#resume = undefined));
  }

  /** Resumes the session if there is one to resume, else enters the room. */
  protected override async takeUp(ask: (request: Request) => Promise<OkResult | undefined>): Promise<Entry<Entered>> {
    if (this.#resume !== undefined) {
      try {
        return this.#take(await ask({ type: 'resume', resume: this.#resume, seq: this.seq }), true);
      } catch (error) {
        if (!isAlthingError(error, 'resume_unknown')) throw error;
        this.#resume = undefined;
        this.failWaiting(new AlthingError('session_lost', 'the session has expired'));
      }
    }
    const { room, name, token: asked, me = this.#me, knock } = this.#join as JoinRequest;
    const token = typeof asked === 'function' ? await asked() : asked;
    const join: Request = {
      type: 'join',
      room,
      name,
      ...(token === undefined ? {} : { token }),
      ...(me === undefined ? {} : { me }),
      ...(knock ? { knock } : {}),
      ...(this.#encrypted ? { encrypted: true } : {}),
      ...(this.#direct ? { direct: this.held === undefined ? {} : { held: this.held } } : {}),
    };
    return this.#take(await ask(join), false);
  }

  /** A call that needs the server no longer is not ended by its refusal: it ends when the direct connection does. */
  protected override perseveres(error: unknown): boolean {
    return this.held !== undefined && !isAlthingError(error, 'kicked');
  }

  #take(result: OkResult | undefined, resumed: boolean): Entry<Entered> {
    if (result?.of !== 'joined') throw new AlthingError('protocol', 'the server did not say who is in the room');
    this.#resume = result.resume;
    this.#me = result.me.member;
    if (resumed) this.#resumptions += 1;
    return { entered: { joined: result, resumed }, seq: result.seq };
  }
}

import { Emitter } from './emitter.ts';
import { AlthingError, isAlthingError } from './errors.ts';
import { Link } from './link.ts';
import type { Entry, LinkOptions, LinkState, Welcome } from './link.ts';
import type { CallEnd, CallId, CallMedia, Event, Grants, MemberId, OkResult, PersonInfo, RejectReason, Request } from './wire.ts';

/** A call that rings is given up this long (ms) after its time even if the server says nothing: the socket may be away. */
const OVERDUE = 5000;

/** Who enters which lobby. */
export interface EnterRequest {
  lobby: string;
  name: string;
  token?: string | undefined;
}

/** A call that rings, here or at the other end. */
export interface Ring {
  /** Its name; absent while the server has not answered yet. */
  readonly call: CallId | undefined;
  /** The other end. */
  readonly member: MemberId;
  readonly name: string;
  readonly media: CallMedia;
  /** Whether this end is called. */
  readonly incoming: boolean;
}

/** A call that is accepted: join `room` with `token`. */
export interface Talk {
  readonly call: CallId;
  /** The other end. */
  readonly member: MemberId;
  readonly name: string;
  /** What this end has called or accepted with. */
  readonly media: CallMedia;
  readonly room: string;
  /** Another one where its end was away for long. */
  token: string | undefined;
}

/** A call that is over, but for those that this end has ended. */
export interface Over {
  readonly member: MemberId;
  readonly name: string;
  readonly reason: CallEnd;
  /** Whether this end was called. */
  readonly incoming: boolean;
  /** Whether it had been accepted. */
  readonly talked: boolean;
}

export interface LobbyEvents {
  /** Anything that `people`, `status`, `ring` or `talk` show has changed. */
  change: void;
  /** Somebody calls. */
  ringing: Ring;
  /** A call is accepted, by whomever. */
  accepted: Talk;
  /** A call is over that this end has not ended. */
  over: Over;
  /** The lobby is left, or cannot be entered again. */
  ended: AlthingError;
}

type Entered = Extract<OkResult, { of: 'entered' }>;

/** Presence in a lobby: who can be called, and calls that ring. A call that is accepted is held by a `Call` of its own. A lobby is entered once. */
export class Lobby extends Emitter<LobbyEvents> {
  readonly #link: LobbyLink;
  readonly #people = new Map<MemberId, PersonInfo>();
  #me: PersonInfo | undefined;
  #grants: Grants | undefined;
  #ring: Ring | undefined;
  #talk: Talk | undefined;
  /** Somebody has called while the answer to an own call was awaited: which of the two counts, that answer says. */
  #crossing: Extract<Event, { type: 'ringing' }> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LinkOptions) {
    super();
    this.#link = new LobbyLink(options, () => this.#talk?.call ?? this.#ring?.call);
    this.#link.on('state', () => this.#changed());
    this.#link.on('refused', () => this.#changed());
    this.#link.on('joined', (entered) => this.#enter(entered));
    this.#link.on('event', (event) => this.#take(event));
    this.#link.on('closed', (error) => this.#end(error));
  }

  /** Whether the lobby has a socket. */
  get status(): LinkState {
    return this.#link.state;
  }

  /** Why the server does not let this end into the lobby again for now, while it answers and refuses. */
  get refusal(): AlthingError | undefined {
    return this.#link.refusal;
  }

  /** What the server said of itself. */
  get server(): Welcome | undefined {
    return this.#link.welcome;
  }

  /** The own identity; absent before entering. */
  get me(): PersonInfo | undefined {
    return this.#me;
  }

  /** What may be published in a call. */
  get grants(): Grants | undefined {
    return this.#grants;
  }

  /** The others, by name. */
  get people(): readonly PersonInfo[] {
    const order = (one: PersonInfo, other: PersonInfo) => one.name.localeCompare(other.name) || one.member.localeCompare(other.member);
    return [...this.#people.values()].sort(order);
  }

  /** The call that rings. */
  get ring(): Ring | undefined {
    return this.#ring;
  }

  /** The call that goes on. */
  get talk(): Talk | undefined {
    return this.#talk;
  }

  /** Enters. */
  async enter(enter: EnterRequest): Promise<void> {
    await this.#link.enter(enter);
  }

  /** Calls somebody. Resolves when it rings there, or when both are connected because they were calling, too. Rejects with `busy` when they are not free. */
  async call(member: MemberId, media: CallMedia): Promise<void> {
    if (this.#ring || this.#talk) throw new AlthingError('wrong_state', 'there is a call already: end it first');
    const ring: Ring = { call: undefined, member, name: this.#nameOf(member), media, incoming: false };
    this.#become(ring);
    try {
      const result = await this.#link.request({ type: 'call', to: member, media });
      if (result?.of !== 'calling') throw new AlthingError('protocol', 'the server did not say which call it is');
      this.#crossing = undefined;
      // Taken back before it had a name.
      if (this.ring !== ring) return this.#forget({ type: 'cancel', call: result.call });
      this.#become({ ...ring, call: result.call }, result.left_ms);
    } catch (error) {
      if (this.#ring === ring) this.#become(undefined);
      const crossing = this.#crossing;
      this.#crossing = undefined;
      if (crossing && !this.#ring) this.#hear(crossing);
      throw error;
    }
  }

  /** Takes the call that rings here, with what this end wants to publish. The event `accepted` says where it is held. */
  async accept(media?: CallMedia): Promise<void> {
    const ring = this.#ring;
    if (!ring?.incoming || ring.call === undefined) throw new AlthingError('wrong_state', 'nobody calls');
    if (media && media !== ring.media) this.#ring = { ...ring, media };
    try {
      await this.#link.request({ type: 'accept', call: ring.call });
    } catch (error) {
      if (this.#ring?.call !== ring.call) return;
      this.#become(undefined);
      if (!isAlthingError(error, 'not_found')) throw error;
      this.#tellOver(ring, 'gone', false);
    }
  }

  /** Does not take the call that rings here. */
  reject(reason: RejectReason = 'declined'): void {
    const ring = this.#ring;
    if (!ring?.incoming || ring.call === undefined) return;
    this.#become(undefined);
    this.#forget({ type: 'reject', call: ring.call, reason });
  }

  /** Takes the own call back. */
  cancel(): void {
    const ring = this.#ring;
    if (!ring || ring.incoming) return;
    this.#become(undefined);
    if (ring.call !== undefined) this.#forget({ type: 'cancel', call: ring.call });
  }

  /** Ends the call that goes on. Who holds its `Call` leaves that. */
  hangUp(): void {
    const talk = this.#talk;
    if (!talk) return;
    this.#talk = undefined;
    this.#changed();
    this.#forget({ type: 'hang_up', call: talk.call });
  }

  /** Leaves. A call is ended. */
  leave(): Promise<void> {
    return this.#link.leave();
  }

  /** Leaves at once, as a page must that is being closed. */
  leaveNow(): void {
    this.#link.leaveNow();
  }

  /** The network may have changed. */
  networkChanged(): void {
    this.#link.probe();
  }

  #enter({ me, grants, people }: Entered): void {
    this.#me = me;
    this.#grants = grants;
    this.#people.clear();
    for (const person of people) this.#people.set(person.member, person);
    this.#changed();
  }

  #take(event: Event): void {
    if (event.type === 'person') this.#see(event.person);
    else if (event.type === 'person_gone') this.#miss(event.member);
    else if (event.type === 'ringing') this.#hear(event);
    else if (event.type === 'accepted') this.#connect(event);
    else if (event.type === 'call_over') this.#over(event.call, event.reason);
  }

  #see(person: PersonInfo): void {
    if (person.member === this.#me?.member) this.#me = person;
    else this.#people.set(person.member, person);
    this.#changed();
  }

  #miss(member: MemberId): void {
    if (this.#people.delete(member)) this.#changed();
  }

  #hear(event: Extract<Event, { type: 'ringing' }>): void {
    // The lobby has forgotten the call that goes on, since its server was started anew.
    if (this.#talk) return this.#forget({ type: 'reject', call: event.call, reason: 'busy' });
    if (this.#ring && !this.#ring.incoming) {
      this.#crossing = event;
      return;
    }
    const isKnown = this.#ring?.call === event.call;
    const ring: Ring = { call: event.call, member: event.from, name: event.name || event.from, media: event.media, incoming: true };
    this.#become(isKnown ? this.#ring : ring, event.left_ms);
    if (!isKnown) this.emit('ringing', ring);
  }

  #connect({ call, with: member, name, media, room, token }: Extract<Event, { type: 'accepted' }>): void {
    if (this.#talk?.call === call) {
      // Its end was away: the token of before may have expired.
      this.#talk.token = token;
      return;
    }
    const ring = this.#ring;
    // It was taken back at the moment at which it was accepted; or it is one of a page that was closed.
    if (ring?.call !== call) return this.#forget({ type: 'hang_up', call });
    this.#talk = { call, member, name: name || member, media: ring.media ?? media, room, token };
    this.#become(undefined);
    this.emit('accepted', this.#talk);
  }

  #over(call: CallId, reason: CallEnd): void {
    if (this.#crossing?.call === call) this.#crossing = undefined;
    const [ring, talk] = [this.#ring, this.#talk];
    if (ring?.call === call) {
      this.#become(undefined);
      this.#tellOver(ring, reason, false);
    } else if (talk?.call === call && reason !== 'unknown') {
      // What the lobby does not know may go on in its room: that the other end has left it, the room says.
      this.#talk = undefined;
      this.#changed();
      this.#tellOver({ ...talk, incoming: false }, reason, true);
    }
  }

  #tellOver({ member, name, incoming }: Pick<Ring, 'member' | 'name' | 'incoming'>, reason: CallEnd, talked: boolean): void {
    this.emit('over', { member, name, reason, incoming, talked });
  }

  #become(ring: Ring | undefined, leftMs?: number): void {
    clearTimeout(this.#timer);
    this.#ring = ring;
    if (ring && leftMs !== undefined) {
      this.#timer = setTimeout(() => ring.call !== undefined && this.#over(ring.call, 'timed_out'), leftMs + OVERDUE);
    }
    this.#changed();
  }

  /** Asks for the end of a call: that it has ended meanwhile is as good. */
  #forget(request: Request): void {
    void this.#link.request(request).catch(() => undefined);
  }

  #nameOf(member: MemberId): string {
    return this.#people.get(member)?.name || member;
  }

  #end(error: AlthingError): void {
    clearTimeout(this.#timer);
    this.#ring = undefined;
    this.#talk = undefined;
    this.#crossing = undefined;
    this.#people.clear();
    this.#changed();
    this.emit('ended', error);
  }

  #changed(): void {
    this.emit('change', undefined);
  }
}

/** The session in a lobby. Whoever comes back says which call they are in, and is told everything else. */
class LobbyLink extends Link<Entered> {
  readonly #call: () => CallId | undefined;
  #enter: EnterRequest | undefined;
  #me: MemberId | undefined;

  constructor(options: LinkOptions, call: () => CallId | undefined) {
    super(options);
    this.#call = call;
  }

  enter(enter: EnterRequest): Promise<Entered> {
    this.#enter ??= enter;
    return this.begin();
  }

  protected override async takeUp(ask: (request: Request) => Promise<OkResult | undefined>): Promise<Entry<Entered>> {
    const { lobby, name, token } = this.#enter as EnterRequest;
    const call = this.#call();
    const result = await ask({
      type: 'enter',
      lobby,
      name,
      ...(token === undefined ? {} : { token }),
      ...(this.#me === undefined ? {} : { me: this.#me }),
      ...(call === undefined ? {} : { call }),
    });
    if (result?.of !== 'entered') throw new AlthingError('protocol', 'the server did not say who is in the lobby');
    this.#me = result.me.member;
    return { entered: result, seq: 0 };
  }
}

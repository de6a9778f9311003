import { Emitter } from './emitter.ts';
import { AlthingError } from './errors.ts';
import { Peer } from './peer.ts';
import type { MediaState } from './peer.ts';
import { Publisher } from './publisher.ts';
import type { Ask, Publication } from './publisher.ts';
import { Signaling } from './signaling.ts';
import type { Joined, JoinRequest, SignalingOptions, Welcome } from './signaling.ts';
import { mediaByMember, SlotBoard } from './slots.ts';
import type { MemberMedia } from './slots.ts';
import { Sources } from './sources.ts';
import { enter, mergeChat, reduce } from './state.ts';
import type { RoomState } from './state.ts';
import { digest } from './stats.ts';
import type { ConnectionStats, MemberStats } from './stats.ts';
import { Views } from './views.ts';
import type { ViewSize } from './views.ts';
import type { ChatMessage, Event, LeaveReason, MemberId, MemberInfo, OkResult, Priority, Source, TrackNumber, VideoCodec } from './wire.ts';

/** Where a call stands. */
export type CallStatus = 'idle' | 'joining' | 'joined' | 'reconnecting' | 'ended';

export interface CallEvents {
  /** Anything that `room`, `status`, `media` or `publications` show has changed. */
  change: void;
  /** Somebody else has said something. */
  chat: ChatMessage;
  memberJoined: MemberInfo;
  memberLeft: { member: MemberInfo; reason: LeaveReason };
  /** The call is over. */
  ended: AlthingError;
  /** Something was refused or failed; the call goes on. */
  problem: AlthingError;
}

export interface CallOptions extends SignalingOptions {
  /** The codecs of pictures to receive; all that the browser has, if nothing is said. Whoever publishes in another one is asked for one of these. */
  receive?: readonly VideoCodec[] | undefined;
}

/** What a call has done so far: for tests, and for whoever looks for the reason of something. */
export interface Diagnostics {
  offers: number;
  connections: number;
  resumptions: number;
  seq: number;
  iceState: string | undefined;
}

/** One member's presence in one room: signaling, media and what is known of the others. A call is joined once. */
export class Call extends Emitter<CallEvents> {
  readonly #signaling: Signaling;
  readonly #publisher = new Publisher();
  readonly #board: SlotBoard;
  readonly #sources = new Sources(
    (pair) => this.#board.tracks(pair)?.receiver,
    () => this.#place(),
  );
  readonly #views: Views;
  readonly #peer: Peer;
  #room: RoomState | undefined;
  #media: ReadonlyMap<MemberId, MemberMedia> = new Map();

  constructor({ receive, ...options }: CallOptions) {
    super();
    this.#signaling = new Signaling(options);
    this.#board = new SlotBoard(receive);
    const ask: Ask = (request) => this.#signaling.request(request);
    this.#peer = new Peer(ask, this.#publisher, this.#board);
    this.#views = new Views(ask);
    this.#signaling.on('state', () => this.#changed());
    this.#signaling.on('joined', ({ joined, resumed }) => this.#enter(joined, resumed));
    this.#signaling.on('event', (event) => this.#take(event));
    this.#signaling.on('closed', (error) => this.#end(error));
    this.#peer.on('state', () => this.#changed());
    this.#peer.on('bound', () => this.#place());
    this.#peer.on('published', (tracks) => {
      if (this.#room) this.#set({ ...this.#room, me: { ...this.#room.me, tracks } });
    });
    this.#peer.on('stale', () => void this.#signaling.beginAnew());
    this.#peer.on('problem', (error) => this.emit('problem', error));
  }

  /** Where the call stands. */
  get status(): CallStatus {
    return ({ idle: 'idle', connecting: 'joining', open: 'joined', reconnecting: 'reconnecting', closed: 'ended' } as const)[this.#signaling.state];
  }

  /** The media connection, which lives on while the socket is away. */
  get mediaState(): MediaState {
    return this.#peer.state;
  }

  /** The room as it is known; absent before joining. */
  get room(): RoomState | undefined {
    return this.#room;
  }

  /** What the server said of itself. */
  get server(): Welcome | undefined {
    return this.#signaling.welcome;
  }

  /** What is received, by member. */
  get media(): ReadonlyMap<MemberId, MemberMedia> {
    return this.#media;
  }

  /** What is sent. */
  get publications(): readonly Publication[] {
    return this.#publisher.publications;
  }

  /** Enters a room. */
  async join(join: JoinRequest): Promise<RoomState> {
    const joined = await this.#signaling.join(join);
    return this.#room ?? enter(joined);
  }

  /**
   * Publishes a source, or changes how it is published (another track, muted or not). The track stays the
   * caller's. Before joining it is only noted: what is published then is part of the first offer.
   */
  async publish(publication: Publication): Promise<void> {
    if (this.#room && !this.#room.grants.publish.includes(publication.source)) throw notGranted(publication.source);
    this.#publisher.want(publication);
    this.#changed();
    if (this.#room) await this.#peer.touch();
  }

  /** Publishes a source no longer. Its m-line is kept for the next time. */
  async unpublish(source: Source): Promise<void> {
    if (!this.#publisher.publication(source)) return;
    this.#publisher.unwant(source);
    this.#changed();
    if (this.#room) await this.#peer.touch();
  }

  /** Mutes a published source, or takes that back. */
  async mute(source: Source, muted: boolean): Promise<void> {
    const publication = this.#publisher.publication(source);
    if (!publication) throw new AlthingError('not_found', `${source} is not published`);
    if (publication.track) publication.track.enabled = !muted;
    await this.publish({ ...publication, muted });
  }

  /** Wants these tracks no longer, or again. */
  async subscribe(tracks: TrackNumber[], wanted: boolean): Promise<void> {
    await this.#signaling.request({ type: wanted ? 'subscribe' : 'unsubscribe', tracks });
  }

  /**
   * Says how a member's camera or screen is shown: how large (CSS pixels), or that it is hidden. Nothing larger is sent
   * then. What was never said to be shown anyhow is taken for shown large.
   */
  view(member: MemberId, screen: boolean, size: ViewSize, priority: Priority = 'normal'): void {
    this.#views.show(member, screen, size, priority);
  }

  /** Says something to everybody. Sent twice because the socket was lost, it arrives once. */
  async say(text: string): Promise<ChatMessage> {
    const key = randomKey();
    const said = await this.#signaling.request({ type: 'chat', text, key });
    if (said?.of !== 'said' || !this.#room) throw new AlthingError('protocol', 'chat was not confirmed');
    const { me } = this.#room;
    const message: ChatMessage = { number: said.number, at: said.at, member: me.member, name: me.name, text, key };
    this.#set({ ...this.#room, chat: mergeChat(this.#room.chat, [message]) });
    return message;
  }

  /** Loads chat from before what is known; false when there is none. */
  async loadHistory(limit = 50): Promise<boolean> {
    const before = this.#room?.chat[0]?.number;
    const result = await this.#signaling.request({ type: 'history', limit, ...(before === undefined ? {} : { before }) });
    const messages = result?.of === 'history' ? result.messages : [];
    if (this.#room) this.#set({ ...this.#room, chat: mergeChat(this.#room.chat, messages) });
    return messages.length > 0;
  }

  /** Moderation: removes a member. */
  kick(member: MemberId): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'kick', member });
  }

  /** Moderation: stops forwarding a track, or allows it again. */
  muteMember(track: TrackNumber, muted: boolean): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'mute_member', track, muted });
  }

  /** Moderation: lets nobody new in, or does again. */
  lock(locked: boolean): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'lock', locked });
  }

  /** Leaves the room and ends the call. */
  leave(): Promise<void> {
    return this.#signaling.leave();
  }

  /** Leaves at once, as a page must that is being closed. */
  leaveNow(): void {
    this.#signaling.leaveNow();
  }

  /** The network may have changed: looks whether socket and media still have their way. */
  networkChanged(): void {
    this.#signaling.probe();
    this.#peer.networkChanged();
  }

  /** The connection's figures, and whose media the receiving ones are at the moment. */
  async stats(): Promise<ConnectionStats & { members: MemberStats[] }> {
    const report = await this.#peer.connection?.getStats();
    const stats = digest((report ?? new Map()) as unknown as Iterable<[string, unknown]>);
    const slots = new Map(this.#room?.slots.map((slot) => [slot.pair, slot]));
    const members = stats.inbound.flatMap((line) => {
      const pair = this.#board.pairOf(line.mid);
      const slot = pair === undefined ? undefined : slots.get(pair);
      return slot ? [{ ...line, member: slot.member, screen: slot.screen }] : [];
    });
    return { ...stats, members };
  }

  /** What the call has done so far. */
  diagnostics(): Diagnostics {
    return { ...this.#peer.counters, ...this.#signaling.counters, iceState: this.#peer.connection?.iceConnectionState };
  }

  #enter(joined: Joined, resumed: boolean): void {
    // A room entered anew may be another one: its chat is numbered from 1 again.
    this.#set(enter(joined, resumed ? this.#room : undefined));
    for (const { source } of this.publications.filter((publication) => !joined.grants.publish.includes(publication.source))) {
      this.#publisher.unwant(source);
      this.emit('problem', notGranted(source));
    }
    if (resumed && joined.connection) {
      this.#publisher.learn(joined.me.tracks);
      this.#peer.need(joined.pairs);
      void this.#peer.touch();
    } else {
      this.#views.reset();
      this.#peer.renew(joined.pairs);
    }
  }

  #take(event: Event): void {
    const before = this.#room;
    if (!before) return;
    this.#set(reduce(before, event));
    if (event.type === 'need') this.#peer.need(event.pairs);
    else if (event.type === 'restart') this.#restart();
    else if (event.type === 'demand') this.#publisher.demand(event.track, event.rids);
    else if (event.type === 'fallback') this.#fallback(event.track, event.codecs);
    else if (event.type === 'media') this.#peer.heard(event.connected);
    else if (event.type === 'chat') this.emit('chat', event.message);
    else if (event.type === 'member_joined') this.emit('memberJoined', event.member);
    else if (event.type === 'member_left') this.#tellLeft(before, event.member, event.reason);
  }

  #restart(): void {
    this.#views.reset();
    this.#peer.renew();
  }

  #fallback(track: TrackNumber, codecs: readonly VideoCodec[]): void {
    this.#publisher.fallback(track, codecs);
    void this.#peer.touch();
  }

  #tellLeft(before: RoomState, who: MemberId, reason: LeaveReason): void {
    const member = before.members.find((other) => other.member === who);
    if (member) this.emit('memberLeft', { member, reason });
  }

  #end(error: AlthingError): void {
    this.#peer.close();
    this.#views.close();
    this.#sources.reset();
    this.#media = new Map();
    this.#changed();
    this.emit('ended', error);
  }

  #set(room: RoomState): void {
    const placed = this.#room?.slots === room.slots;
    if (this.#room?.members !== room.members) this.#views.follow(room.members);
    this.#room = room;
    if (placed) this.#changed();
    else this.#place();
  }

  /** Follows `slots`: whether a track of the connection is muted says nothing about who is in it. */
  #place(): void {
    const slots = this.#room?.slots ?? [];
    this.#sources.follow(slots);
    this.#media = mediaByMember(
      slots,
      (pair) => this.#board.tracks(pair),
      (slot) => this.#sources.isThere(slot),
    );
    this.#changed();
  }

  #changed(): void {
    this.emit('change', undefined);
  }
}

function notGranted(source: Source): AlthingError {
  return new AlthingError('forbidden', `publishing ${source} is not granted`);
}

/** A key that makes a message of ours recognisable. (`randomUUID` is for secure contexts only.) */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

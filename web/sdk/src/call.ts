import { DataWay, fromWire, toMessage, toWire } from './data.ts';
import type { Data, DataOptions } from './data.ts';
import type { DirectMessage } from './direct.ts';
import { Emitter } from './emitter.ts';
import type { Encryption } from './encryption.ts';
import { AlthingError, isAlthingError } from './errors.ts';
import { Peer } from './peer.ts';
import { Relays } from './relays.ts';
import type { MediaState } from './peer.ts';
import { Publisher } from './publisher.ts';
import { Pulse } from './pulse.ts';
import type { Unreached } from './reach.ts';
import { givenTo, heardBy, Speech } from './speech.ts';
import type { Level } from './speech.ts';
import type { Ask, Publication } from './publisher.ts';
import { SealedChat } from './sealed.ts';
import { Signaling } from './signaling.ts';
import type { Joined, JoinRequest, SignalingOptions, Welcome } from './signaling.ts';
import { mediaByMember, SlotBoard } from './slots.ts';
import type { MemberMedia } from './slots.ts';
import { Sources } from './sources.ts';
import { bygone, enter, mergeChat, reduce } from './state.ts';
import type { RoomState } from './state.ts';
import { digest } from './stats.ts';
import type { ConnectionStats, MemberStats } from './stats.ts';
import { Views } from './views.ts';
import { Ways } from './ways.ts';
import type { Route } from './ways.ts';
import type { ViewSize } from './views.ts';
import type { ChatMessage, Event, Grants, LeaveReason, MemberId, MemberInfo, OkResult, Policy, Priority, Reaction, RecordingEnd, RecordingInfo, Source, TrackNumber, VideoCodec } from './wire.ts';

/** Where a call stands. */
export type CallStatus = 'idle' | 'joining' | 'joined' | 'reconnecting' | 'ended';

export interface CallEvents {
  /** Anything that `room`, `status`, `media` or `publications` show has changed. */
  change: void;
  /** Somebody else has said something. */
  chat: ChatMessage;
  /** Somebody has sent data. */
  data: Data;
  memberJoined: MemberInfo;
  memberLeft: { member: MemberInfo; reason: LeaveReason };
  /** Somebody has raised a hand, or it was lowered. */
  hand: { member: MemberInfo; raised: boolean };
  /** Somebody, oneself among them, shows something for a moment. */
  reaction: { member: MemberInfo; reaction: Reaction };
  /** The server records the room from now on, or no longer, or it pauses, or goes on: what `room.recording` is now, and why it is over where nobody has ended it. */
  recording: { recording: RecordingInfo | undefined; reason: RecordingEnd | undefined };
  /** The server takes a picture of what a member shows, for another one. */
  screenshot: { by: MemberId; member: MemberId; source: Source };
  /** The call is over. */
  ended: AlthingError;
  /** Something was refused or failed; the call goes on. */
  problem: AlthingError;
}

export interface CallOptions extends SignalingOptions {
  /** The codecs of pictures to receive; all that the browser has, if nothing is said. Whoever publishes in another one is asked for one of these. */
  receive?: readonly VideoCodec[] | undefined;
  /** Whether this member can be connected directly with another one (it is, unless this says false). */
  direct?: boolean;
  /** Whether data goes by data channels, where the server has them (it does, unless this says false); else it goes by the socket. */
  data?: boolean;
  /** What encrypts the call end to end; it is closed with the call. All members have to, with the same secret. Pictures are VP8 then. */
  encryption?: Encryption | undefined;
}

/** What a call has done so far: for tests, and for whoever looks for the reason of something. */
export interface Diagnostics {
  offers: number;
  /** With the server. */
  connections: number;
  /** With another member. */
  direct: number;
  resumptions: number;
  seq: number;
  iceState: string | undefined;
}

/** One member's presence in one room: signaling, media and what is known of the others. A call is joined once. */
export class Call extends Emitter<CallEvents> {
  readonly #signaling: Signaling;
  readonly #publisher: Publisher;
  readonly #encryption: Encryption | undefined;
  readonly #sealed: SealedChat;
  readonly #board: SlotBoard;
  readonly #sources = new Sources(
    (pair) => this.#board.tracks(pair)?.receiver,
    () => this.#place(),
  );
  readonly #views: Views;
  /** Media that stops may be the first that is seen of a network that has changed: whether the server can still be reached is asked then. */
  readonly #pulse = new Pulse(
    () => this.#ways.receivers(),
    () => this.#signaling.probe(),
  );
  /** Who speaks where the server does not hear it. */
  readonly #speech = new Speech<MemberId>(
    () => this.#voices(),
    () => this.#changed(),
  );
  readonly #levels = new WeakMap<RTCRtpReceiver | RTCRtpSender, Level>();
  readonly #isDirect: boolean;
  readonly #data: DataWay;
  readonly #peer: Peer;
  readonly #ways: Ways;
  #room: RoomState | undefined;
  #media: ReadonlyMap<MemberId, MemberMedia> = new Map();
  /** What was said to the other end of a direct connection while the server was away. */
  readonly #unsaid: { key: string; text: string }[] = [];
  /** The room as it is shown: with whoever is connected directly. */
  #shown: RoomState | undefined;

  constructor({ receive, direct = true, data = true, encryption, ...options }: CallOptions) {
    super();
    this.#isDirect = direct;
    this.#encryption = encryption;
    this.#sealed = new SealedChat(encryption);
    encryption?.on('change', () => this.#changed());
    this.#publisher = new Publisher(encryption);
    this.#signaling = new Signaling({ ...options, direct, encrypted: encryption !== undefined });
    this.#board = new SlotBoard(encryption ? ['vp8'] : receive, encryption);
    const ask: Ask = (request) => this.#signaling.request(request);
    const relays = new Relays(ask);
    this.#data = new DataWay(ask);
    this.#data.on('data', (heard) => this.emit('data', heard));
    this.#peer = new Peer(ask, relays, this.#publisher, this.#board, () => (data && this.server?.features.data ? this.#data : undefined));
    this.#ways = new Ways(ask, relays, this.#peer, this.#publisher, (member) => this.#served(member), () => this.#signaling.state === 'reconnecting', encryption);
    this.#views = new Views(ask);
    this.#signaling.on('state', () => {
      this.#departed();
      this.#changed();
    });
    this.#signaling.on('joined', ({ joined, resumed }) => this.#enter(joined, resumed));
    this.#signaling.on('event', (event) => this.#take(event));
    this.#signaling.on('closed', (error) => this.#end(error));
    this.#peer.on('state', () => this.#changed());
    this.#peer.on('bound', () => this.#pulse.reset());
    this.#peer.on('bound', () => this.#place());
    this.#peer.on('published', (tracks) => {
      if (this.#room) this.#set({ ...this.#room, me: { ...this.#room.me, tracks } });
    });
    this.#peer.on('stale', () => void this.#signaling.beginAnew());
    this.#ways.on('change', () => this.#place());
    this.#ways.on('message', (message) => this.#overhear(message));
    this.#ways.on('left', () => this.#departed());
    this.#ways.on('failed', () => this.#directFailed());
    this.#peer.on('problem', (error) => this.emit('problem', error));
  }

  /** Where the call stands. */
  get status(): CallStatus {
    return ({ idle: 'idle', connecting: 'joining', open: 'joined', reconnecting: 'reconnecting', closed: 'ended' } as const)[this.#signaling.state];
  }

  /** Elsewhere the call goes on by way of the server; where it may not, whoever waits has to know why. */
  #directFailed(): void {
    if (this.#room?.policy !== 'p2p') return;
    const why = 'no direct connection with the other end could be made, and calls of this room go no other way: a relay (TURN) may be missing or blocked; it is tried again';
    this.emit('problem', new AlthingError('direct_unreached', why, true));
  }

  /** The media connection, which lives on while the socket is away. */
  get mediaState(): MediaState {
    const direct = this.#ways.directStatus;
    if (direct === undefined) return this.#peer.state;
    return direct === 'closed' ? 'new' : direct;
  }

  /** Why no way to the server's media has been found, while that is so. */
  get unreached(): Unreached | undefined {
    return this.#peer.unreached;
  }

  /** The connection that what is shown travels on: for whoever looks for the reason of something. */
  get connection(): RTCPeerConnection | undefined {
    return this.#ways.connection;
  }

  /** How the media travels. */
  get route(): Route {
    return this.#ways.route;
  }

  /** The room as it is known; absent before joining. */
  get room(): RoomState | undefined {
    return this.#shown;
  }

  /** What the server said of itself. */
  get server(): Welcome | undefined {
    return this.#signaling.welcome;
  }

  /** What is received, by member. */
  get media(): ReadonlyMap<MemberId, MemberMedia> {
    return this.#media;
  }

  /** Members of whom nothing can be read: they encrypt with another secret. */
  get unreadable(): ReadonlySet<MemberId> {
    return this.#encryption?.unreadable ?? NOBODY;
  }

  /** What is sent. */
  get publications(): readonly Publication[] {
    return this.#publisher.publications;
  }

  /** Enters a room. */
  async join(join: JoinRequest): Promise<RoomState> {
    const joined = await this.#signaling.join(join);
    return this.#shown ?? enter(joined);
  }

  /**
   * Publishes a source, or changes how it is published (another track, muted or not). The track stays the
   * caller's. Before joining it is only noted: what is published then is part of the first offer.
   */
  async publish(publication: Publication): Promise<void> {
    if (this.#room && !this.#room.grants.publish.includes(publication.source)) throw notGranted(publication.source);
    this.#publisher.want(publication);
    this.#changed();
    if (this.#room) await this.#ways.touch();
  }

  /** Publishes a source no longer. Its m-line is kept for the next time. */
  async unpublish(source: Source): Promise<void> {
    if (!this.#publisher.publication(source)) return;
    this.#publisher.unwant(source);
    this.#changed();
    if (this.#room) await this.#ways.touch();
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
  async say(words: string): Promise<ChatMessage> {
    const text = await this.#sealed.seal(words, this.#room?.me.member ?? '');
    return this.#sealed.read(await this.#say(text));
  }

  async #say(text: string): Promise<ChatMessage> {
    const key = randomKey();
    // The other end of a direct connection need not wait for the server, which may be away.
    const at = Date.now();
    const isSent = this.#ways.send({ type: 'chat', key, at, text });
    if (isSent && this.status === 'reconnecting' && this.#room) {
      const { me } = this.#room;
      const message = this.#aside(me, { key, at, text });
      this.#unsaid.push({ key, text });
      return message;
    }
    const said = await this.#signaling.request({ type: 'chat', text, key }).catch((error: unknown) => {
      // The other end has read it: it may not be said again under another key.
      const isLost = (['timeout', 'session_lost', 'connection_lost'] as const).some((code) => isAlthingError(error, code));
      if (isSent && isLost && this.#room) return undefined;
      throw error;
    });
    if (!said && isSent && this.#room) {
      this.#unsaid.push({ key, text });
      return this.#aside(this.#room.me, { key, at, text });
    }
    if (said?.of !== 'said' || !this.#room) throw new AlthingError('protocol', 'chat was not confirmed');
    const { me } = this.#room;
    const message: ChatMessage = { number: said.number, at: said.at, member: me.member, name: me.name, text, key };
    this.#set({ ...this.#room, chat: mergeChat(this.#room.chat, [message]) });
    return message;
  }

  /**
   * Sends data to others: to all, or to those who are named, by whichever way each of them is reached. It is not kept: who is not there
   * gets none. Resolves when it is on its way.
   */
  async sendData(payload: string | ArrayBuffer | ArrayBufferView, options: DataOptions = {}): Promise<void> {
    const room = this.#room;
    if (!room) throw new AlthingError('wrong_state', 'join a room first');
    if (!room.grants.data) throw new AlthingError('forbidden', 'sending data is not granted');
    const message = toMessage(payload, options, this.server?.limits.data_bytes ?? Infinity);
    const partner = this.#ways.route.via === 'direct' ? this.#ways.partner?.member : undefined;
    const isBetweenTwo = partner !== undefined && room.members.every(({ member }) => member === partner);
    // What is for somebody else, too, is told by the server, which knows that they are not there.
    const isForPartner = message.to.length === 0 || message.to.every((member) => member === partner);
    if (isBetweenTwo && isForPartner && (await this.#ways.sendData({ type: 'data', topic: message.topic, payload: toWire(message.payload) }, message.reliable))) return;
    await this.#data.send(message);
  }

  /** Whether data goes to the server by data channels. */
  get hasDataChannels(): boolean {
    return this.#data.isOpen;
  }

  /** Shows what was said without the server, in its place until the server tells of it. */
  #aside({ member, name }: MemberInfo, { key, at, text }: { key: string; at: number; text: string }): ChatMessage {
    const last = this.#room?.chat.at(-1)?.number ?? 0;
    // Numbers of the server are whole: this one is after them, and before the next.
    const message: ChatMessage = { number: last + (Math.ceil(last) - last || 1) / 2, at, member, name, text, key };
    if (this.#room) this.#set({ ...this.#room, chat: mergeChat(this.#room.chat, [message]) });
    return message;
  }

  /** The other end has said something without the server. */
  #overhear(message: DirectMessage): void {
    const partner = this.#ways.partner;
    if (message.type === 'data' && partner) this.emit('data', { from: partner.member, topic: message.topic, payload: fromWire(message.payload) });
    if (message.type !== 'chat' || !partner || !this.#room || this.#room.chat.some(({ key }) => key === message.key)) return;
    this.#tellRead(this.#aside(partner, message));
  }

  /** What was said while the server was away is said to it, too: by its key it is said once. */
  #catchUp(): void {
    for (const said of this.#unsaid.splice(0)) this.#signaling.request({ type: 'chat', ...said, echo: true }).catch(() => this.#unsaid.push(said));
  }

  /** Loads chat from before what is known; false when there is none. */
  async loadHistory(limit = 50): Promise<boolean> {
    const before = this.#room?.chat.find(({ number }) => Number.isInteger(number))?.number;
    const result = await this.#signaling.request({ type: 'history', limit, ...(before === undefined ? {} : { before }) });
    const messages = result?.of === 'history' ? result.messages : [];
    await this.#sealed.open(messages);
    if (this.#room) this.#set({ ...this.#room, chat: mergeChat(this.#room.chat, messages) });
    return messages.length > 0;
  }

  /** Raises the own hand, or lowers it; moderators may lower another's. */
  async raiseHand(raised: boolean, member?: MemberId): Promise<void> {
    await this.#signaling.request({ type: 'hand', raised, ...(member === undefined ? {} : { member }) });
  }

  /** Shows everybody something for a moment. */
  async react(reaction: Reaction): Promise<void> {
    await this.#signaling.request({ type: 'react', reaction });
  }

  /** Changes what the application says of this member; everybody is told. */
  async describe(change: { metadata?: string; attributes?: Record<string, string> }): Promise<void> {
    await this.#signaling.request({ type: 'describe', ...change });
  }

  /** Says who alone may receive what is published from a source, now and later; everybody, where nobody is named. */
  async setAudience(source: Source, members?: readonly MemberId[]): Promise<void> {
    await this.#signaling.request({ type: 'audience', source, ...(members ? { members: [...members] } : {}) });
  }

  /** Moderation: stops forwarding a source of everybody else who is there, or allows it again. */
  muteAll(source: Source, muted: boolean): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'mute_all', source, muted });
  }

  /** Moderation: lets somebody in who knocks, or sends them away. */
  admit(member: MemberId, admitted: boolean): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'admit', member, admitted });
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

  /**
   * Has the room recorded on the server, for whoever is granted that: these sources of these members, by default all of everybody. All are told
   * before anything is kept.
   */
  record(what: { sources?: Source[]; members?: MemberId[] } = {}): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'record', ...what });
  }

  /** Ends the recording, for whoever is granted to record or to moderate. */
  stopRecording(): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'stop_recording' });
  }

  /**
   * Has the server take a picture of what somebody shows, for whoever is granted to record: a PNG of the size that is sent, kept in the library. All are
   * told before it is taken. Returns its identity there.
   */
  async screenshot(member: MemberId, source: 'camera' | 'screen' = 'camera'): Promise<string | undefined> {
    const result = await this.#signaling.request({ type: 'screenshot', member, source });
    return result?.of === 'screenshot' ? result.item : undefined;
  }

  /** How the room's media shall travel: anybody may wish for the server, moderators for any way. */
  setPolicy(policy: Policy): Promise<OkResult | undefined> {
    return this.#signaling.request({ type: 'policy', policy });
  }

  /** Leaves the room and ends the call. */
  async leave(): Promise<void> {
    await this.#ways.sayLeft();
    await this.#signaling.leave();
  }

  /** Leaves at once, as a page must that is being closed. */
  leaveNow(): void {
    void this.#ways.sayLeft();
    this.#signaling.leaveNow();
  }

  /** The network may have changed: looks whether socket and media still have their way. */
  networkChanged(): void {
    this.#signaling.probe();
    this.#peer.networkChanged();
    this.#ways.networkChanged();
    this.#lookForLoss();
  }

  /** The connection's figures, and whose media the receiving ones are at the moment. */
  async stats(): Promise<ConnectionStats & { members: MemberStats[] }> {
    const report = await this.#ways.connection?.getStats();
    const stats = digest((report ?? new Map()) as unknown as Iterable<[string, unknown]>);
    if (this.#ways.route.via === 'direct') {
      const members = stats.inbound.flatMap((line) => {
        const of = this.#ways.sourceOf(line.mid);
        return of ? [{ ...line, member: of.member, screen: of.source.startsWith('screen') }] : [];
      });
      return { ...stats, members };
    }
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
    return { ...this.#peer.counters, ...this.#signaling.counters, direct: this.#ways.made, iceState: this.#ways.connection?.iceConnectionState };
  }

  /** What may be done has changed: what is published and may not be any more ends. */
  #keepTo(grants: Grants): void {
    this.#keepToGrants(grants);
    void this.#ways.touch();
  }

  /** More was sent than this member may: what took most has ended, or will if that goes on. */
  #exceeded({ track, limit_kbps: limit, sent_kbps: sent, ended }: Extract<Event, { type: 'publish_excess' }>): void {
    const source = this.#publisher.sourceOf(track);
    const rates = `${sent} kbit/s were sent, and ${limit} may be`;
    if (!ended) return this.emit('problem', new AlthingError('publish_excess', `${rates}: if that goes on, ${source ?? 'what takes most'} will be ended`, true));
    this.#publisher.ended(track);
    this.emit('problem', new AlthingError('publish_ended', `${rates}: ${source ?? 'what took most'} has been ended`));
    void this.#ways.touch();
  }

  /** Gives up what may not be published (any more). */
  #keepToGrants(grants: Grants): void {
    for (const { source } of this.publications.filter((publication) => !grants.publish.includes(publication.source))) {
      this.#publisher.unwant(source);
      this.emit('problem', notGranted(source));
    }
  }

  #enter(joined: Joined, resumed: boolean): void {
    // A room entered anew may be another one: its chat is numbered from 1 again.
    const entered = enter(joined, resumed ? this.#room : undefined);
    const { partner } = this.#ways;
    const goesOn = !resumed && this.#ways.held !== undefined && this.#room?.room === joined.room;
    this.#set(goesOn ? { ...entered, chat: mergeChat(bygone(this.#room?.chat ?? []), joined.chat) } : entered);
    this.#read(joined.chat);
    this.#keepToGrants(joined.grants);
    if (resumed && joined.connection) {
      this.#publisher.learn(joined.me.tracks);
      this.#peer.need(joined.pairs);
      void this.#peer.touch();
    } else {
      this.#views.reset();
      if (joined.way.via === 'server') this.#peer.renew(joined.pairs);
      else if (!this.#peer.isResting) this.#peer.rest();
    }
    if (this.#isDirect && !resumed) this.#ways.entered();
    if (this.#room) this.#ways.follow(joined.way, this.#room);
    // They were shown while the server was away, and nobody else says that they are not any more.
    if (!resumed && partner && !this.#shown?.members.some(({ member }) => member === partner.member)) this.emit('memberLeft', { member: partner, reason: 'lost' });
    if (resumed) this.#ways.resumed();
    if (resumed) this.#lookForLoss();
    this.#pulse.start();
    this.#speech.start();
    this.#catchUp();
  }

  #take(event: Event): void {
    const before = this.#room;
    if (!before) return;
    this.#set(reduce(before, event));
    if (event.type === 'need') this.#peer.need(event.pairs);
    else if (event.type === 'restart') this.#restart();
    else if (event.type === 'granted') this.#keepTo(event.grants);
    else if (event.type === 'publish_excess') this.#exceeded(event);
    else if (event.type === 'recording') this.#tellRecording(event);
    else if (event.type === 'demand') this.#publisher.demand(event.track, event.rids);
    else if (event.type === 'fallback') this.#fallback(event.track, event.codecs);
    else if (event.type === 'way') this.#ways.follow(event.way, this.#room ?? before);
    else if (event.type === 'signal') this.#ways.take(event.session, event.signal);
    else if (event.type === 'member_away' && !event.away) this.#ways.back(event.member);
    else if (event.type === 'media') this.#peer.heard(event.connected);
    else if (event.type === 'chat') this.#tellChat(before, event.message);
    else if (event.type === 'data') this.#data.take(event.from, event.topic ?? '', event.payload);
    else if (event.type === 'data_closed') this.emit('problem', new AlthingError('data_closed', `the server has closed the data channels: ${event.reason}`, true));
    else if (event.type === 'screenshot') this.emit('screenshot', { by: event.by, member: event.member, source: event.source });
    else if (event.type === 'member_joined') this.emit('memberJoined', event.member);
    else if (event.type === 'member_left') this.#tellLeft(before, event.member, event.reason);
    else if (event.type === 'hand') this.#tellOf(before, event.member, (member) => this.emit('hand', { member, raised: event.hand !== undefined }));
    else if (event.type === 'reaction') this.#tellOf(before, event.member, (member) => this.emit('reaction', { member, reaction: event.reaction }));
  }

  #tellRecording({ recording, reason }: Extract<Event, { type: 'recording' }>): void {
    this.emit('recording', { recording, reason });
    if (reason === 'library_full') this.emit('problem', new AlthingError('library_full', 'the recording has ended: as much is kept of this room as may be'));
  }

  #tellOf({ me, members }: RoomState, who: MemberId, tell: (member: MemberInfo) => void): void {
    const member = [me, ...members].find((other) => other.member === who);
    if (member) tell(member);
  }

  #tellChat(before: RoomState, message: ChatMessage): void {
    const isKnown = message.key !== undefined && before.chat.some(({ key, member }) => key === message.key && member === message.member);
    if (!isKnown && message.member !== before.me.member) this.#tellRead(message);
    else this.#read([message]);
  }

  /** Tells of a message once it is open, or cannot be. */
  #tellRead(message: ChatMessage): void {
    if (!this.#encryption) return this.emit('chat', message);
    void this.#sealed.open([message]).then(() => {
      this.#changed();
      this.emit('chat', this.#sealed.read(message));
    });
  }

  /** Opens messages that are there. */
  #read(messages: readonly ChatMessage[]): void {
    if (this.#encryption) void this.#sealed.open(messages).then(() => this.#changed());
  }

  #restart(): void {
    this.#views.reset();
    if (!this.#peer.isResting) this.#peer.renew();
  }

  #fallback(track: TrackNumber, codecs: readonly VideoCodec[]): void {
    this.#publisher.fallback(track, codecs);
    void this.#peer.touch();
  }

  #tellLeft(before: RoomState, who: MemberId, reason: LeaveReason): void {
    const member = before.members.find((other) => other.member === who);
    this.#ways.gone(who, reason);
    if (member) this.emit('memberLeft', { member, reason });
  }

  /** Whoever has left a direct call while the server is away is gone. Else the server says so. */
  #departed(): void {
    const gone = this.#ways.departed;
    const room = this.#room;
    if (!gone || !room || this.status !== 'reconnecting') return;
    this.#set({ ...room, members: room.members.filter(({ member }) => member !== gone.member) });
    this.#ways.gone(gone.member, 'left');
    this.emit('memberLeft', { member: gone, reason: 'left' });
  }

  #end(error: AlthingError): void {
    this.#pulse.stop();
    this.#speech.stop();
    this.#peer.close();
    this.#ways.close();
    this.#encryption?.close();
    this.#views.close();
    this.#sources.reset();
    this.#media = new Map();
    this.#changed();
    this.emit('ended', error);
  }

  #set(room: RoomState): void {
    const placed = this.#room?.slots === room.slots;
    if (this.#room?.members !== room.members) {
      this.#views.follow(room.members);
      this.#encryption?.follow(room.me.member, room.members.map(({ member }) => member));
    }
    this.#room = room;
    if (placed) this.#changed();
    else this.#place();
  }

  /** Follows `slots`: whether a track of the connection is muted says nothing about who is in it. */
  #place(): void {
    const slots = this.#room?.slots ?? [];
    this.#sources.follow(slots);
    const served = mediaByMember(
      slots,
      (pair) => this.#board.tracks(pair),
      (slot) => this.#sources.isThere(slot),
    );
    this.#media = this.#ways.media(served);
    this.#signaling.held = this.#ways.held;
    this.#changed();
  }

  /** Something says that the network may be another one: if media has stopped, too, a new path is looked for. */
  #lookForLoss(): void {
    void this.#pulse.hasStopped().then((stopped) => stopped && this.#ways.lost());
  }

  /** What receives a member's sources by way of the server: those that are to be heard or seen, and are in a slot. */
  #served(member: MemberId): Map<Source, RTCRtpReceiver> {
    const served = new Map<Source, RTCRtpReceiver>();
    const tracks = this.#room?.members.find((other) => other.member === member)?.tracks.filter((track) => !track.muted && !track.muted_by_moderator) ?? [];
    for (const slot of this.#room?.slots.filter((other) => other.member === member) ?? []) {
      const pair = this.#board.tracks(slot.pair);
      for (const { source, track } of tracks) {
        const receiver = track === slot.audio ? pair?.hearing : track === slot.video ? pair?.receiver : undefined;
        if (receiver) served.set(source, receiver);
      }
    }
    return served;
  }

  /** Both voices of a direct call. */
  *#voices(): Generator<readonly [MemberId, Level]> {
    const { route, connection } = this.#ways;
    const microphone = this.#publisher.publication('microphone')?.track;
    if (route.via !== 'direct' || !connection || !this.#room) return;
    for (const { mid, sender, receiver } of connection.getTransceivers()) {
      const of = mid === null ? undefined : this.#ways.sourceOf(mid);
      if (of?.source === 'microphone') yield [of.member, this.#level(receiver, heardBy)];
      else if (microphone && sender.track === microphone) yield [this.#room.me.member, this.#level(sender, givenTo)];
    }
  }

  /** One level for each end of an m-line: it remembers what was heard last. */
  #level<Line extends RTCRtpReceiver | RTCRtpSender>(line: Line, make: (line: Line) => Level): Level {
    const level = this.#levels.get(line) ?? make(line);
    this.#levels.set(line, level);
    return level;
  }

  #changed(): void {
    const room = this.#room;
    if (room) {
      const members = this.#ways.members(room.members);
      const speakers = this.#ways.route.via === 'direct' ? this.#speech.speakers : room.speakers;
      const chat = this.#encryption ? room.chat.map((message) => this.#sealed.read(message)) : room.chat;
      this.#shown = members === room.members && speakers === room.speakers && chat === room.chat ? room : { ...room, members, speakers, chat };
    }
    this.emit('change', undefined);
  }
}

const NOBODY: ReadonlySet<MemberId> = new Set();

function notGranted(source: Source): AlthingError {
  return new AlthingError('forbidden', `publishing ${source} is not granted`);
}

/** A key that makes a message of ours recognisable. (`randomUUID` is for secure contexts only.) */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

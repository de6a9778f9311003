import { DirectPeer } from './direct.ts';
import type { DirectMessage, DirectStatus } from './direct.ts';
import { Emitter } from './emitter.ts';
import type { Encryption } from './encryption.ts';
import type { Ask, Publisher } from './publisher.ts';
import type { Peer } from './peer.ts';
import type { Relays } from './relays.ts';
import type { MemberMedia } from './slots.ts';
import type { RoomState } from './state.ts';
import type { SelectedPair } from './stats.ts';
import type { LeaveReason, MemberId, MemberInfo, Signal, Source, Way } from './wire.ts';

/** How the media of a call travels now, for people. */
export interface Route {
  /** `none`: there is nobody whom it could travel to. */
  via: 'none' | 'direct' | 'server';
  /** The pair of candidates of the connection, once it is up. */
  pair?: SelectedPair | undefined;
}

export interface WaysEvents {
  /** What is received, how it travels, or how that stands has changed. */
  change: void;
  message: DirectMessage;
  /** The other end has said that it leaves. */
  left: void;
  /** A direct connection could not be had. */
  failed: void;
}

/** How often it is looked whether the new way carries everything (ms). */
const EVERY = 50;
/** The way before is given up after so long, whatever the new one carries (ms). */
const HANDOVER = 10_000;

interface Handover {
  since: number;
  timer: ReturnType<typeof setInterval>;
  /** The newest packet of each receiver of the new way when it was first looked at: what is newer has come since. */
  first: Map<RTCRtpReceiver, number | undefined>;
}

/**
 * The two ways that a call's media can travel, and the change from one to the other: the new one is made before the old one is broken,
 * and what is shown changes when the new one carries all that is to be heard and seen.
 */
export class Ways extends Emitter<WaysEvents> {
  readonly #ask: Ask;
  readonly #relays: Relays;
  readonly #peer: Peer;
  readonly #publisher: Publisher;
  readonly #encryption: Encryption | undefined;
  /** Whether the server cannot be reached. */
  readonly #isAway: () => boolean;
  /** What receives a member's sources by way of the server. */
  readonly #served: (member: MemberId) => ReadonlyMap<Source, RTCRtpReceiver>;
  #way: Way = { via: 'nobody' };
  #direct: DirectPeer | undefined;
  #session: string | undefined;
  /** The pair of candidates that the direct connection uses. */
  #pair: SelectedPair | undefined;
  /** The same of the connection with the server. */
  #serverPair: SelectedPair | undefined;
  /** Who is at the other end, and what was last known of them. */
  #partner: MemberInfo | undefined;
  #shown: Route = { via: 'none' };
  #handover: Handover | undefined;
  /** The other end receives everything on the new way. */
  #otherSwitched = false;
  /** The other end has said that it leaves. */
  #otherLeft = false;
  #breaking: ReturnType<typeof setTimeout> | undefined;

  constructor(ask: Ask, relays: Relays, peer: Peer, publisher: Publisher, served: (member: MemberId) => ReadonlyMap<Source, RTCRtpReceiver>, isAway: () => boolean, encryption?: Encryption) {
    super();
    this.#isAway = isAway;
    this.#encryption = encryption;
    this.#ask = ask;
    this.#relays = relays;
    this.#peer = peer;
    this.#publisher = publisher;
    this.#served = served;
    peer.on('pair', (pair) => {
      this.#serverPair = pair;
      if (this.#shown.via === 'server') this.#show(this.#byServer());
    });
  }

  /** Who is at the other end of the direct connection. */
  get partner(): MemberInfo | undefined {
    return this.#partner;
  }

  /** Whoever was at the other end, and has said that they leave. */
  get departed(): MemberInfo | undefined {
    return this.#otherLeft ? this.#partner : undefined;
  }

  /** Direct connections made so far: what comes and goes at the server must not raise it. */
  made = 0;

  /** How what is shown travels. */
  get route(): Route {
    return this.#shown;
  }

  /** The direct connection that a session which begins anew may go on with. */
  get held(): string | undefined {
    return this.#direct?.status === 'connected' ? this.#session : undefined;
  }

  /** How the direct connection stands, while what is shown travels on it. */
  get directStatus(): DirectStatus | undefined {
    return this.#shown.via === 'direct' ? this.#direct?.status : undefined;
  }

  /** The connection that what is shown travels on. */
  get connection(): RTCPeerConnection | undefined {
    return this.#shown.via === 'direct' ? this.#direct?.connection : this.#peer.connection;
  }

  /** Whose m-line of the direct connection it is. */
  sourceOf(mid: string): { member: MemberId; source: Source } | undefined {
    const source = this.#direct?.received.sourceOf(mid);
    return source && this.#partner ? { member: this.#partner.member, source } : undefined;
  }

  /** What is published has changed. */
  async touch(): Promise<void> {
    await Promise.all([this.#peer.isResting ? undefined : this.#peer.touch(), this.#direct?.publish(this.#publisher.publications)]);
  }

  /** The media travels this way from now on. */
  follow(way: Way, room: RoomState): void {
    this.#way = way;
    this.#end();
    if (way.via === 'direct') this.#goDirect(way, room);
    else if (way.via === 'server') {
      if (this.#peer.isResting) this.#peer.renew(room.pairs);
      if (this.#direct && this.#shown.via === 'direct') this.#begin();
      else {
        // One that was begun and is not needed any more: it would go on to send everything a second time.
        this.#drop();
        this.#show(this.#byServer());
      }
    } else this.#stayAlone();
    this.emit('change', undefined);
  }

  /** Somebody is gone. A direct connection with them goes on if only the server has lost them, or if they come again with it. */
  gone(member: MemberId, reason: LeaveReason): void {
    if (this.#partner?.member === member && (reason === 'left' || reason === 'kicked')) this.#drop();
  }

  /** Somebody's socket is back: what they have missed is said anew. */
  back(member: MemberId): void {
    if (this.#partner?.member === member) this.#direct?.reachable();
  }

  /** A session has begun: what will be needed is asked for. */
  entered(): void {
    this.#relays.reset();
    void this.#relays.servers();
  }

  /** The own socket is back. */
  resumed(): void {
    this.#direct?.reachable();
  }

  /** The other end says something by way of the server. */
  take(session: string, signal: Signal): void {
    if (session === this.#session) this.#direct?.take(signal);
  }

  /** Says something to the other end without the server; false when there is no channel for it. */
  send(message: DirectMessage): boolean {
    return this.#direct?.send(message) ?? false;
  }

  /** Sends data to the other end, when there is room for it; false when there is no channel for it. */
  sendData(message: DirectMessage, reliable: boolean): Promise<boolean> {
    return this.#direct?.sendData(message, reliable) ?? Promise.resolve(false);
  }

  /** Tells the other end that this one leaves. */
  async sayLeft(): Promise<void> {
    await this.#direct?.sendLast({ type: 'left' });
  }

  networkChanged(): void {
    this.#direct?.networkChanged();
  }

  /** Nothing comes any more on the way that is shown, and the network is another one. */
  lost(): void {
    if (this.#shown.via === 'direct') this.#direct?.lost();
    else this.#peer.lost();
  }

  /** What receives that which is shown. */
  receivers(): RTCRtpReceiver[] {
    return this.connection?.getReceivers() ?? [];
  }

  /** What is received of each member: by way of the server, but for the one at the other end of the direct connection. */
  media(served: ReadonlyMap<MemberId, MemberMedia>): ReadonlyMap<MemberId, MemberMedia> {
    if (this.#shown.via !== 'direct' || !this.#direct || !this.#partner) return served;
    return new Map([...served, [this.#partner.member, this.#direct.received.media()]]);
  }

  /** The members as they are shown: the one at the other end stays while the connection is up, whatever the server knows. */
  members(members: readonly MemberInfo[]): readonly MemberInfo[] {
    if (this.#shown.via !== 'direct' || !this.#direct || !this.#partner) return members;
    const { member } = this.#partner;
    const tracks = this.#direct.received.tracks();
    const known = members.find((other) => other.member === member);
    if (known) this.#partner = known;
    const shown = { ...this.#partner, tracks, away: known?.away ?? true };
    return known ? members.map((other) => (other.member === member ? shown : other)) : [...members, shown];
  }

  close(): void {
    this.#end();
    this.#direct?.close();
    this.#direct = undefined;
    this.#shown = { via: 'none' };
  }

  #goDirect({ session, member, polite }: Extract<Way, { via: 'direct' }>, room: RoomState): void {
    const partner = room.members.find((other) => other.member === member);
    this.#partner = partner ?? { member, name: '', moderator: false, away: false, tracks: [] };
    if (session === this.#session && this.#direct && this.#direct.status !== 'closed') {
      this.#direct.reachable();
      if (this.#peer.isResting) this.#show({ via: 'direct', pair: this.#pair });
      else this.#begin();
      return;
    }
    this.#direct?.close();
    this.#session = session;
    this.#pair = undefined;
    this.#otherSwitched = this.#otherLeft = false;
    this.made += 1;
    const signal = async (what: Signal): Promise<unknown> => {
      const isSaid = this.#isAway() && direct.status === 'connected' && direct.send({ type: 'signal', signal: what });
      return isSaid || this.#ask({ type: 'signal', session, signal: what });
    };
    const direct = (this.#direct = new DirectPeer({ polite, signal, encryption: this.#encryption, iceServers: () => this.#relays.servers() }));
    direct.on('status', () => this.#changed(direct));
    direct.on('media', () => this.#changed(direct));
    direct.on('message', (message) => this.#hear(direct, message));
    direct.on('up', (state) => this.#up(direct, state));
    direct.on('failed', () => this.#failed(direct, session));
    void direct.begin(this.#publisher.publications);
    if (this.#peer.isResting) return this.#show({ via: 'direct' });
    // The server carries what it can until the new connection is up, whatever was shown before.
    this.#show({ via: 'server' });
    this.#begin();
  }

  #stayAlone(): void {
    // A server that has begun anew does not know the other end yet, who may come back to the same connection.
    if (this.#direct?.status !== 'connected') this.#drop();
    if (!this.#peer.isResting) this.#rest();
  }

  #up(direct: DirectPeer, state: SelectedPair & { is: 'up' }): void {
    const { local, remote, protocol } = state;
    if (direct !== this.#direct || !this.#session) return;
    this.#pair = { local, remote, protocol };
    if (this.#shown.via === 'direct') this.#show({ via: 'direct', pair: this.#pair });
    this.#ask({ type: 'direct', session: this.#session, state: { is: 'up', local, remote, protocol } }).catch(() => undefined);
  }

  #failed(direct: DirectPeer, session: string): void {
    if (direct !== this.#direct) return;
    this.emit('failed', undefined);
    // The server then decides how to go on. Where it does not know the connection any more, nothing follows.
    this.#ask({ type: 'direct', session, state: { is: 'failed' } }).catch(() => undefined);
    if (this.#way.via !== 'direct') this.#drop();
  }

  #hear(direct: DirectPeer, message: DirectMessage): void {
    if (direct !== this.#direct) return;
    if (message.type === 'left') {
      this.#otherLeft = true;
      return this.emit('left', undefined);
    }
    if (message.type !== 'switched') return this.emit('message', message);
    this.#otherSwitched = true;
    // One that is under way looks for itself.
    if (!this.#handover) this.#break();
  }

  #changed(direct: DirectPeer): void {
    if (direct === this.#direct) this.emit('change', undefined);
  }

  /** Begins to look whether the new way carries everything. */
  #begin(): void {
    this.#handover = { since: performance.now(), timer: setInterval(() => this.#look(), EVERY), first: new Map() };
  }

  #end(): void {
    clearInterval(this.#handover?.timer);
    clearTimeout(this.#breaking);
    this.#handover = undefined;
  }

  #look(): void {
    const handover = this.#handover;
    if (!handover) return;
    const late = performance.now() - handover.since > HANDOVER;
    const to = this.#way.via === 'direct' ? 'direct' : 'server';
    // A direct connection that cannot be had is not what is changed to: the server is asked for another way first.
    if (to === 'direct' ? !this.#isUp(late, handover) : !late && !this.#carriesByServer(handover)) return;
    this.#end();
    this.#show(to === 'direct' ? { via: 'direct', pair: this.#pair } : this.#byServer());
    this.send({ type: 'switched' });
    if (late || this.#otherSwitched) this.#break();
    else this.#breaking = setTimeout(() => this.#break(), HANDOVER);
  }

  #isUp(late: boolean, handover: Handover): boolean {
    if (this.#direct?.status !== 'connected' || !this.#partner) return false;
    if (late) return true;
    const audible = new Map(this.#direct.received.audible());
    const wanted = [...this.#served(this.#partner.member).keys()];
    return wanted.every((source) => flows(audible.get(source), handover));
  }

  #carriesByServer(handover: Handover): boolean {
    if (!this.#direct || !this.#partner) return true;
    const served = this.#served(this.#partner.member);
    return this.#direct.received.audible().every(([source]) => flows(served.get(source), handover));
  }

  /** Gives up the way that nothing is shown of any more; both ends have said so, or have had time to. */
  #break(): void {
    if (this.#shown.via === 'server' && this.#way.via === 'server') this.#drop();
    else if (this.#shown.via === 'direct' && this.#way.via === 'direct' && !this.#peer.isResting) this.#rest();
  }

  #rest(): void {
    this.#otherSwitched = false;
    this.#peer.rest();
    this.#ask({ type: 'release' }).catch(() => undefined);
  }

  #drop(): void {
    this.#direct?.close();
    this.#direct = this.#session = this.#partner = undefined;
    this.#otherSwitched = this.#otherLeft = false;
    if (this.#shown.via === 'direct') this.#show(this.#way.via === 'server' ? this.#byServer() : { via: 'none' });
    this.emit('change', undefined);
  }

  #byServer(): Route {
    return { via: 'server', pair: this.#peer.isResting ? undefined : this.#serverPair };
  }

  #show(route: Route): void {
    if (JSON.stringify(this.#shown) === JSON.stringify(route)) return;
    this.#shown = route;
    this.emit('change', undefined);
  }
}

/** Whether packets have come to a receiver since it was first looked at. */
function flows(receiver: RTCRtpReceiver | undefined, { first }: Handover): boolean {
  if (!receiver) return false;
  const newest = receiver.getSynchronizationSources().reduce<number | undefined>((most, { timestamp }) => (most !== undefined && most > timestamp ? most : timestamp), undefined);
  if (!first.has(receiver)) first.set(receiver, newest);
  return newest !== undefined && newest !== first.get(receiver);
}

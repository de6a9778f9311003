import { Backoff } from './backoff.ts';
import { Emitter } from './emitter.ts';
import { AlthingError, isAlthingError } from './errors.ts';
import type { DataWay } from './data.ts';
import type { Relays } from './relays.ts';
import type { Publisher, Ask } from './publisher.ts';
import type { SlotBoard } from './slots.ts';
import { unreachedText, whyUnreached } from './reach.ts';
import type { Unreached } from './reach.ts';
import { shared } from './state.ts';
import { ConnectionWatch } from './watch.ts';
import { followPair, selectedPair } from './stats.ts';
import type { SelectedPair } from './stats.ts';
import type { TrackInfo } from './wire.ts';

/** The media connection as a person would put it. */
export type MediaState = 'new' | 'connecting' | 'connected' | 'recovering';

/** The ways straight to the server are tried alone for so long: less sets up relays that a slow network would not have needed (ms). */
const FIRST_WAYS = 4000;

export interface PeerEvents {
  state: MediaState;
  /** Which m-lines belong to which pair may have changed. */
  bound: void;
  /** What the server holds of us after an offer. */
  published: TrackInfo[];
  /** The server refused an offer of a new connection because it still holds the old one: the session must be begun anew. */
  stale: void;
  /** The connection uses another pair of candidates. */
  pair: SelectedPair;
  /** Something was refused. */
  problem: AlthingError;
}

/**
 * The one RTCPeerConnection, both directions. One pass after another compares what is wanted (slot pairs,
 * publications, a restart) with what there is, and negotiates the difference; so offers never overlap.
 */
export class Peer extends Emitter<PeerEvents> {
  readonly #ask: Ask;
  readonly #publisher: Publisher;
  readonly #board: SlotBoard;
  readonly #data: () => DataWay | undefined;
  readonly #watch: ConnectionWatch;
  readonly #relays: Relays;
  /** Relays that the way to the server needs: known once it was not found without. */
  #lastResort: RTCIceServer[] = [];
  #resort: ReturnType<typeof setTimeout> | undefined;
  readonly #backoff = new Backoff({ first: 500, most: 10_000 });
  #connection: RTCPeerConnection | undefined;
  #pairs = 0;
  #restart = false;
  /** Whether there is something that only an offer can bring about. */
  #due = false;
  #stale = false;
  #resting = true;
  #closed = false;
  #state: MediaState = 'new';
  #pair: SelectedPair | undefined;
  #wasConnected = false;
  #unreached: Unreached | undefined;
  #dirty: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Offers sent and connections made so far: what churn must not raise. */
  readonly counters = { offers: 0, connections: 0 };

  /** `data`: what has data channels on each new connection, if anything. */
  constructor(ask: Ask, relays: Relays, publisher: Publisher, board: SlotBoard, data: () => DataWay | undefined = () => undefined) {
    super();
    this.#ask = ask;
    this.#data = data;
    this.#publisher = publisher;
    this.#board = board;
    this.#relays = relays;
    this.#watch = new ConnectionWatch({ restartIce: () => this.#restartIce(), renew: () => this.#renewLater() });
  }

  get state(): MediaState {
    return this.#state;
  }

  /** Why no connection has ever come up, once one has failed; absent as soon as one is there. */
  get unreached(): Unreached | undefined {
    return this.#unreached;
  }

  /** The connection as it is now: for statistics. */
  get connection(): RTCPeerConnection | undefined {
    return this.#connection;
  }

  /** Whether there is, and is to be, no connection. */
  get isResting(): boolean {
    return this.#resting;
  }

  /** Wants at least so many receiving pairs. */
  need(pairs: number): void {
    if (pairs <= this.#pairs) return;
    this.#pairs = pairs;
    void this.#schedule();
  }

  /** Something that is wanted has changed. Resolves when a pass that knows of it has succeeded. */
  touch(): Promise<void> {
    return this.#closed ? Promise.reject(new AlthingError('closed', 'the call is over')) : this.#schedule();
  }

  #schedule(): Promise<void> {
    if (!this.#dirty) {
      const run = this.#running.then(() => {
        this.#dirty = undefined;
        return this.#pass();
      });
      this.#dirty = run;
      this.#running = run.catch((error: unknown) => this.#fail(error));
    }
    return this.#dirty;
  }

  /** Begins a new connection; everything is published again. `pairs` replaces how many are wanted. */
  renew(pairs = this.#pairs): void {
    this.#pairs = pairs;
    this.#stale = true;
    this.#resting = false;
    void this.#schedule();
  }

  /** Needs no connection until `renew`. */
  rest(): void {
    this.#resting = true;
    clearTimeout(this.#retry);
    this.#watch.stop();
    // Not at once: what a pass waits for would never be settled by a connection that is closed.
    void this.#schedule();
  }

  /** The server says that it hears nothing of us (or does again). */
  heard(connected: boolean): void {
    if (!connected && this.#connection?.connectionState === 'connected') this.#watch.unheard();
  }

  /** Nothing comes any more, and the network is another one: a new path is looked for at once. */
  lost(): void {
    if (this.#connection && this.#wasConnected) this.#watch.unheard();
  }

  /** The network has changed: a new path is looked for without waiting for the old one to time out. */
  networkChanged(): void {
    const state = this.#connection?.connectionState;
    if (state === 'disconnected' || state === 'failed') this.#watch.unheard();
  }

  close(): void {
    this.#closed = true;
    this.#watch.stop();
    clearTimeout(this.#retry);
    this.#discard();
    this.#become('new');
  }

  async #pass(): Promise<void> {
    if (this.#closed) return;
    if (this.#stale || this.#resting) this.#discard();
    this.#stale = false;
    if (this.#resting) {
      this.#wasConnected = false;
      this.#unreached = undefined;
      return this.#become('new');
    }
    const connection = (this.#connection ??= this.#create());
    // Sending lines come first: they are then the first m-lines, whatever the number of pairs.
    const added = await this.#publisher.attach(connection);
    const grown = this.#board.grow(connection, this.#pairs);
    this.#due ||= added || grown || this.#restart;
    if (this.#due) await this.#offer(connection);
    if (connection === this.#connection && !this.#stale && !this.#resting) await this.#publisher.settle(this.#ask);
  }

  async #offer(connection: RTCPeerConnection): Promise<void> {
    if (connection.signalingState === 'have-local-offer') await connection.setLocalDescription({ type: 'rollback' });
    const restart = this.#restart;
    await connection.setLocalDescription(await connection.createOffer({ iceRestart: restart }));
    this.counters.offers += 1;
    const result = await this.#ask({ type: 'offer', sdp: connection.localDescription?.sdp ?? '', publish: this.#publisher.lines() });
    if (connection !== this.#connection || this.#stale || this.#resting) return;
    if (result?.of !== 'answer') throw new AlthingError('protocol', 'an offer was not answered');
    await connection.setRemoteDescription({ type: 'answer', sdp: result.sdp });
    this.#due = false;
    if (restart) {
      this.#restart = false;
      this.#watch.answered();
    }
    this.#board.bind(connection, result.pairs);
    const published = result.published.map(([, track]) => track);
    this.#publisher.learn(published);
    this.emit('published', shared(published));
    this.emit('bound', undefined);
  }

  #create(): RTCPeerConnection {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: this.#lastResort });
    this.counters.connections += 1;
    clearTimeout(this.#resort);
    // With relays, too: their credentials may have expired.
    this.#resort = setTimeout(() => void this.#useRelays(connection), FIRST_WAYS);
    const look = () => {
      if (connection !== this.#connection) return;
      this.#watch.update(connection.connectionState, connection.iceConnectionState);
      this.#look(connection.connectionState);
    };
    connection.onconnectionstatechange = connection.oniceconnectionstatechange = look;
    const data = this.#data();
    data?.attach(connection);
    this.#restart = false;
    this.#due = data !== undefined;
    return connection;
  }

  #look(state: RTCPeerConnectionState): void {
    if (state === 'connected') {
      this.#wasConnected = true;
      this.#unreached = undefined;
      this.#backoff.reset();
      clearTimeout(this.#resort);
      this.#become('connected');
      void this.#report();
    } else if (state === 'disconnected' || state === 'failed') {
      if (state === 'failed' && !this.#wasConnected) this.#explain();
      this.#become('recovering');
    } else if (state === 'connecting') this.#become(this.#wasConnected ? 'recovering' : 'connecting');
  }

  /** Says once why no way was found, and keeps it until there is one. */
  #explain(): void {
    const answer = this.#connection?.remoteDescription?.sdp;
    // ICE found a way, and what came after it failed: nothing is wrong with addresses and ports.
    const ice = this.#connection?.iceConnectionState;
    if (this.#unreached || !answer || ice === 'connected' || ice === 'completed') return;
    this.#unreached = whyUnreached(answer, location.hostname);
    this.emit('problem', new AlthingError(this.#unreached.code, unreachedText(this.#unreached), true));
  }

  /** Which pair of candidates it is: at once, and when a better one is found. */
  async #report(): Promise<void> {
    const connection = this.#connection;
    // Where a browser does not say, it is the first one.
    followPair(connection?.getReceivers()[0]?.transport?.iceTransport, () => void this.#report());
    const pair = connection && selectedPair((await connection.getStats()) as unknown as Iterable<[string, unknown]>);
    if (!pair || connection !== this.#connection || JSON.stringify(pair) === JSON.stringify(this.#pair)) return;
    this.#pair = pair;
    this.emit('pair', pair);
  }

  #become(state: MediaState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }

  /** Neither UDP nor TCP to the server has come to anything: by way of a relay it may. */
  async #useRelays(connection: RTCPeerConnection): Promise<void> {
    const servers = await this.#relays.servers();
    if (connection !== this.#connection || connection.connectionState === 'connected' || servers.length === 0) return;
    this.#lastResort = servers;
    connection.setConfiguration({ ...connection.getConfiguration(), iceServers: servers });
    this.#restartIce();
  }

  #restartIce(): void {
    this.#restart = true;
    void this.#schedule();
  }

  /** A new connection after a wait: one that cannot be made is not tried in a tight loop. */
  #renewLater(): void {
    this.#become('recovering');
    this.#again(() => this.renew());
  }

  #again(act: () => void): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(act, this.#backoff.next());
  }

  #discard(): void {
    const connection = this.#connection;
    clearTimeout(this.#resort);
    this.#connection = this.#pair = undefined;
    this.#watch.stop();
    this.#publisher.reset();
    this.#board.reset();
    if (connection) {
      connection.onconnectionstatechange = connection.oniceconnectionstatechange = null;
      connection.close();
      this.emit('bound', undefined);
    }
  }

  #fail(error: unknown): void {
    // A session that is over or lost is someone else's to mend: what follows it renews the connection.
    if (this.#closed || isAlthingError(error, 'closed') || isAlthingError(error, 'session_lost')) return;
    const problem = error instanceof AlthingError ? error : new AlthingError('media_failed', String(error));
    if (problem.code === 'sdp_changed') this.emit('stale', undefined);
    else if (problem.retryable) this.#again(() => void this.#schedule());
    else {
      if (this.#publisher.dropRefused()) void this.#schedule();
      this.emit('problem', problem);
    }
  }
}

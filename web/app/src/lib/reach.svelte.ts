import { AlthingError, Lobby } from '@althing/sdk';
import type { Call, CallMedia, LinkState, MemberId, Over, PersonInfo, RejectReason, Ring, Talk } from '@althing/sdk';
import { lobbyAddress, socketAddress } from './address.ts';
import { preferences } from './preferences.ts';
import { session } from './session.svelte.ts';
import { RingTone } from './tone.ts';
import { callProblem, callResult, joinProblem } from './wording.ts';

/** A lobby that was entered when the page was reloaded is entered again within this time (ms). */
const RELOAD_WITHIN = 30_000;
const RELOAD_KEY = 'althing.lobby';

/** Where this person can be called, and the call that rings. The session holds the call itself. */
class Reach {
  lobby = $state.raw<Lobby | undefined>(undefined);
  name = $state('');
  status = $state<LinkState>('idle');
  /** Why the server does not let this end in again for now, while it answers and refuses. */
  refusal = $state.raw<AlthingError | undefined>(undefined);
  me = $state.raw<PersonInfo | undefined>(undefined);
  people = $state.raw<readonly PersonInfo[]>([]);
  ring = $state.raw<Ring | undefined>(undefined);
  /** The call that is accepted, until it is over. */
  talk = $state.raw<Talk | undefined>(undefined);
  mayShow = $state(true);
  /** What has become of the last call, or why the lobby is left; in the page's language of the moment. */
  result = $state.raw<(() => string) | undefined>(undefined);
  readonly tone = new RingTone();
  /** The call that rings, or has rung last, was accepted at this end. */
  answered = $state(false);
  #devices: Promise<void> = Promise.resolve();
  #interrupted = readInterrupted();

  constructor() {
    addEventListener('pagehide', () => this.#reloading());
    addEventListener('online', () => this.lobby?.networkChanged());
  }

  /** Enters a lobby; the devices rest until somebody calls. */
  async enter(lobbyName: string, name: string): Promise<void> {
    const lobby = new Lobby({ url: socketAddress(location) });
    this.result = undefined;
    this.tone.unlock();
    lobby.on('change', () => lobby === this.lobby && this.#refresh(lobby));
    lobby.on('accepted', (talk) => void this.#hold(lobby, talk));
    lobby.on('over', (over) => this.#over(over));
    lobby.on('ended', (error) => this.#ended(lobby, error));
    try {
      await lobby.enter({ lobby: lobbyName, name, token: session.address.token });
    } catch (error) {
      const problem = error instanceof AlthingError ? error : new AlthingError('protocol', String(error));
      this.result = () => joinProblem(problem);
      return;
    }
    preferences.write({ name });
    session.local.close();
    this.name = lobbyName;
    this.lobby = lobby;
    this.#refresh(lobby);
    history.replaceState(null, '', lobbyAddress(lobbyName, session.address));
  }

  async leave(): Promise<void> {
    this.result = undefined;
    await this.lobby?.leave();
  }

  async call(member: MemberId, media: CallMedia): Promise<void> {
    const lobby = this.lobby;
    if (!lobby) return;
    const name = this.people.find((person) => person.member === member)?.name || member;
    this.result = undefined;
    this.#devices = this.#open(media);
    try {
      await lobby.call(member, media);
    } catch (error) {
      this.#rest();
      // Somebody else was first: their call rings now, and says enough.
      if (this.ring) return;
      if (error instanceof AlthingError && error.code !== 'closed') this.result = () => callProblem(error, name);
    }
  }

  async accept(media: CallMedia): Promise<void> {
    const ring = this.ring;
    this.result = undefined;
    this.answered = true;
    this.#devices = this.#open(media);
    try {
      await this.lobby?.accept(media);
    } catch (error) {
      this.#rest();
      if (error instanceof AlthingError && error.code !== 'closed') this.result = () => callProblem(error, ring?.name ?? '');
    }
  }

  reject(reason: RejectReason = 'declined'): void {
    this.lobby?.reject(reason);
  }

  cancel(): void {
    this.lobby?.cancel();
    this.#rest();
  }

  /** The lobby that a reload has interrupted, told once. */
  takeInterrupted(): { lobby: string; name: string } | undefined {
    const found = this.#interrupted;
    this.#interrupted = undefined;
    return found?.lobby === session.address.lobby ? found : undefined;
  }

  /** Holds a call that is accepted: joins its room, and returns from it when either end hangs up. */
  async #hold(lobby: Lobby, talk: Talk): Promise<void> {
    this.talk = talk;
    await this.#devices;
    // Hung up meanwhile.
    if (this.talk !== talk) return this.#rest();
    await session.join(talk.room, lobby.me?.name ?? '', { token: () => talk.token, partner: talk.name });
    const call = session.call;
    if (!session.inCall || !call) {
      const message = session.message;
      this.#hungUp(talk, () => message);
    } else if (this.talk !== talk) {
      await session.leave();
      session.message = '';
      this.#rest();
    } else this.#follow(call, talk);
  }

  #follow(call: Call, talk: Talk): void {
    let met = false;
    const look = () => {
      if ((call.room?.members.length ?? 0) > 0) met = true;
      else if (met && call === session.call && session.inCall) void session.leave();
    };
    call.on('change', look);
    call.on('ended', () => this.#hungUp(talk, () => callResult({ ...talk, incoming: false, talked: true, reason: 'hung_up' })));
    look();
  }

  /** The call is over at this end. */
  #hungUp(talk: Talk, result: () => string): void {
    session.message = '';
    this.#rest();
    if (this.talk !== talk) return;
    this.talk = undefined;
    this.result = result;
    this.lobby?.hangUp();
  }

  #over(over: Over): void {
    const { answered } = this;
    this.result = () => callResult(over, answered);
    if (!over.talked) return this.#rest();
    this.talk = undefined;
    if (session.inCall) void session.leave();
    else this.#rest();
  }

  /** The lobby is left. A call goes on: it needs its room alone. */
  #ended(lobby: Lobby, error: AlthingError): void {
    if (lobby !== this.lobby) return;
    this.lobby = undefined;
    this.ring = undefined;
    if (!session.inCall) this.talk = undefined;
    this.people = [];
    this.tone.stop();
    if (error.code !== 'closed') this.result = () => joinProblem(error);
  }

  #refresh(lobby: Lobby): void {
    this.status = lobby.status;
    this.refusal = lobby.refusal;
    this.me = lobby.me;
    this.people = lobby.people;
    this.mayShow = lobby.grants?.publish.includes('camera') ?? true;
    if (this.ring?.call === lobby.ring?.call && this.ring?.member === lobby.ring?.member) return;
    const before = this.ring;
    this.ring = lobby.ring;
    // A call that has got its name rings on.
    if (before && this.ring && before.incoming === this.ring.incoming) return;
    if (this.ring) this.answered = false;
    if (this.ring) this.tone.start(this.ring.incoming ? 'incoming' : 'outgoing');
    else this.tone.stop();
  }

  /** Turns on what a call takes. What cannot be had is told by the device itself: the call is held without. */
  async #open(media: CallMedia): Promise<void> {
    if (media === 'video') await session.local.start();
    else await session.local.setMicrophone(true).catch(() => undefined);
    if (!this.ring && !this.talk) this.#rest();
  }

  /** Nobody is called: no device is held. */
  #rest(): void {
    if (!session.inCall) session.local.close();
  }

  #reloading(): void {
    if (!this.lobby) return;
    try {
      sessionStorage.setItem(RELOAD_KEY, JSON.stringify({ lobby: this.name, name: this.me?.name ?? '', at: Date.now() }));
    } catch {
      // Then the page asks again.
    }
    this.lobby.leaveNow();
  }
}

function readInterrupted(): { lobby: string; name: string } | undefined {
  try {
    const found = JSON.parse(sessionStorage.getItem(RELOAD_KEY) ?? 'null') as { lobby: string; name: string; at: number } | null;
    sessionStorage.removeItem(RELOAD_KEY);
    return found && Date.now() - found.at < RELOAD_WITHIN ? found : undefined;
  } catch {
    return undefined;
  }
}

export const reach = new Reach();

import type { Call, Data, MemberId } from '@althing/sdk';

/** What somebody records in their browser: all that is heard, the call with its pictures, or a screen with the sound of the call. */
export type What = 'audio' | 'call' | 'screen';

const KINDS: readonly string[] = ['audio', 'call', 'screen'] satisfies What[];
/** The topic that it is said under. */
const TOPIC = 'althing.recording';
/** It is said again so often (ms): to whoever has come, and after whatever was lost. */
export const AGAIN = 5_000;
/** What was not said again for so long (ms) is over: its page has gone, or has crashed. */
const FORGOTTEN = 20_000;

/** Who of the others records, as far as their pages say so: a recording in a browser needs no server, so it is told by whoever makes it. */
export class Witness {
  #by = $state.raw<ReadonlyMap<MemberId, { what: What; at: number }>>(new Map());

  /** Who records what. */
  get by(): ReadonlyMap<MemberId, { what: What }> {
    return this.#by;
  }

  /** Listens to a call; `tell` is called once of each recording that begins. */
  follow(call: Call, tell: (member: MemberId, what: What) => void): void {
    this.#by = new Map();
    const timer = setInterval(() => this.#forget(), AGAIN);
    call.on('data', (data) => this.#take(data, tell));
    call.on('memberLeft', ({ member }) => this.#set(member.member, undefined));
    call.on('ended', () => {
      clearInterval(timer);
      this.#by = new Map();
    });
  }

  /** Tells all others, or some, what this page records, or that it does no longer. @throws when that is not possible. */
  async say(call: Call, what: What | undefined, to: readonly MemberId[] = []): Promise<void> {
    await call.sendData(JSON.stringify({ recording: what ?? null }), { topic: TOPIC, to });
  }

  #take({ from, topic, payload }: Data, tell: (member: MemberId, what: What) => void): void {
    if (topic !== TOPIC || typeof payload !== 'string') return;
    const what = read(payload);
    const isNew = what !== undefined && this.#by.get(from)?.what !== what;
    this.#set(from, what);
    if (isNew) tell(from, what);
  }

  #set(member: MemberId, what: What | undefined): void {
    const by = new Map(this.#by);
    if (what) by.set(member, { what, at: performance.now() });
    else if (!by.delete(member)) return;
    this.#by = by;
  }

  #forget(): void {
    const since = performance.now() - FORGOTTEN;
    for (const [member, { at }] of this.#by) if (at < since) this.#set(member, undefined);
  }
}

function read(payload: string): What | undefined {
  try {
    const { recording } = JSON.parse(payload) as { recording?: unknown };
    return KINDS.includes(String(recording)) ? (recording as What) : undefined;
  } catch {
    return undefined;
  }
}

export const witness = new Witness();

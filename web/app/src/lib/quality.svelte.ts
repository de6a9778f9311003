import type { Call, MemberId } from '@althing/sdk';
import { figuresOf, judge, judgeOwn, showsCamera, stalled } from './figures.ts';
import type { Figures, Judgement, Sample } from './figures.ts';

/** Counters are looked at so often (ms): more often costs a large call a part of its thread. */
const EVERY = 2000;

/** How good the connection is, of each member, as long as the page is in a call. */
class Quality {
  figures = $state.raw<Figures | undefined>(undefined);
  judgements = $state.raw<ReadonlyMap<MemberId, Judgement>>(new Map());
  #before: Sample | undefined;
  /** The look before that one, and whose cameras were to be seen since: one look without a packet may be a key frame that is waited for. */
  #earlier: Sample | undefined;
  #seen: ReadonlySet<MemberId> = new Set();
  #timer: ReturnType<typeof setInterval> | undefined;

  follow(call: Call): void {
    this.stop();
    this.#timer = setInterval(() => void this.#look(call), EVERY);
    call.on('ended', () => this.stop());
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#earlier = this.#before = this.figures = undefined;
    this.#seen = new Set();
    this.judgements = new Map();
  }

  async #look(call: Call): Promise<void> {
    // Nobody sees it.
    if (document.visibilityState === 'hidden' || call.status !== 'joined') return;
    const now = { at: performance.now(), stats: await call.stats() };
    const { room } = call;
    if (!room) return;
    const figures = figuresOf(this.#before, now);
    const isFirst = this.#before === undefined;
    const still = stalled(this.#earlier, now);
    [this.#earlier, this.#before] = [this.#before, now];
    if (isFirst) return;
    this.figures = figures;
    const judgements = new Map<MemberId, Judgement>([[room.me.member, judgeOwn(figures)]]);
    const seen = new Set(room.members.filter(({ tracks }) => showsCamera(tracks, room.quality)).map(({ member }) => member));
    for (const { member, tracks, away } of room.members) {
      const qualities = tracks.map(({ track }) => room.quality.get(track)).filter((quality) => quality !== undefined);
      judgements.set(member, judge(figures.members.get(member) ?? [], qualities, away, figures.roundTrip, still.has(member) && seen.has(member) && this.#seen.has(member)));
    }
    this.#seen = seen;
    this.judgements = judgements;
  }
}

export const quality = new Quality();

import { isAlthingError } from '@althing/sdk';
import type { Call, Reaction } from '@althing/sdk';
import { m } from '../paraglide/messages.js';
import { announce } from './announce.svelte.ts';
import type { Shown } from './gestures.ts';

/** A reaction is shown for so long (ms). */
const SHOWN = 5000;
/** Reactions that are shown at a time: in a large room more would only flicker. */
const MOST = 50;

/** Hands and reactions of the call that the page is in. */
class Gestures {
  shown = $state.raw<readonly Shown[]>([]);
  /** Whether the reactions to choose from are open. */
  open = $state(false);
  #call: Call | undefined;
  #count = 0;

  follow(call: Call): void {
    this.#call = call;
    this.shown = [];
    this.open = false;
    call.on('reaction', ({ member, reaction }) => {
      const shown = { id: ++this.#count, member: member.member, reaction };
      this.shown = [...this.shown.slice(1 - MOST), shown];
      setTimeout(() => (this.shown = this.shown.filter((other) => other !== shown)), SHOWN);
      announce(m.reacted_event({ name: member.name, reaction: reactionName(reaction) }));
    });
    call.on('hand', ({ member, raised }) => {
      const mine = member.member === call.room?.me.member;
      if (raised || mine) announce((mine ? (raised ? m.own_hand_raised : m.own_hand_lowered) : m.hand_raised_event)({ name: member.name }));
    });
  }

  async react(reaction: Reaction): Promise<void> {
    // Too many are refused: the ones before are still to be seen.
    await this.#call?.react(reaction).catch((error: unknown) => {
      if (!isAlthingError(error, 'rate_limited')) throw error;
    });
  }

  async toggleHand(): Promise<void> {
    const me = this.#call?.room?.me;
    if (me) await this.#call?.raiseHand(me.hand === undefined).catch(() => undefined);
  }
}

/** What a reaction is called. */
export function reactionName(reaction: Reaction): string {
  const names: Record<Reaction, () => string> = {
    agree: m.reaction_agree,
    applause: m.reaction_applause,
    heart: m.reaction_heart,
    laugh: m.reaction_laugh,
    surprise: m.reaction_surprise,
    celebrate: m.reaction_celebrate,
    disagree: m.reaction_disagree,
  };
  return names[reaction]();
}

export const gestures = new Gestures();

import type { MemberInfo, Reaction } from '@althing/sdk';

/** What each reaction looks like; what it is called is in the messages. */
export const EMOJI: Record<Reaction, string> = {
  agree: '👍',
  applause: '👏',
  heart: '❤️',
  laugh: '😂',
  surprise: '😮',
  celebrate: '🎉',
  disagree: '👎',
};
export const REACTIONS = Object.keys(EMOJI) as Reaction[];

/** Something that somebody shows for a moment. */
export interface Shown {
  id: number;
  member: string;
  reaction: Reaction;
}

/** Who has a hand up, in the order of raising. */
export function handsOf(everyone: readonly MemberInfo[]): MemberInfo[] {
  return everyone.filter(({ hand }) => hand !== undefined).sort((a, b) => (a.hand ?? 0) - (b.hand ?? 0));
}

/** How often each reaction is shown, the most frequent first. */
export function countsOf(shown: readonly Shown[]): [Reaction, number][] {
  const counts = new Map<Reaction, number>();
  for (const { reaction } of shown) counts.set(reaction, (counts.get(reaction) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

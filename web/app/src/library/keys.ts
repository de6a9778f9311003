/** What a key does in the player. */
export type PlayerAction =
  | { do: 'toggle' | 'full' | 'mute' | 'chat' | 'people' | 'help' | 'close' | 'skip' }
  | { do: 'move'; seconds: number }
  | { do: 'jump'; part: number }
  | { do: 'volume' | 'speed' | 'frame'; direction: 1 | -1 };

const KEYS: Record<string, PlayerAction> = {
  ' ': { do: 'toggle' },
  k: { do: 'toggle' },
  arrowleft: { do: 'move', seconds: -5 },
  arrowright: { do: 'move', seconds: 5 },
  j: { do: 'move', seconds: -10 },
  l: { do: 'move', seconds: 10 },
  arrowup: { do: 'volume', direction: 1 },
  arrowdown: { do: 'volume', direction: -1 },
  '>': { do: 'speed', direction: 1 },
  '<': { do: 'speed', direction: -1 },
  '.': { do: 'frame', direction: 1 },
  ',': { do: 'frame', direction: -1 },
  home: { do: 'jump', part: 0 },
  end: { do: 'jump', part: 1 },
  f: { do: 'full' },
  m: { do: 'mute' },
  s: { do: 'skip' },
  c: { do: 'chat' },
  p: { do: 'people' },
  '?': { do: 'help' },
  escape: { do: 'close' },
};

/** What is pressed with the space bar or with arrows means itself: a button its press, a list its choice. */
const OWN: Record<string, readonly string[]> = {
  BUTTON: [' '],
  A: [' '],
  SUMMARY: [' '],
  SELECT: [' ', 'arrowleft', 'arrowright', 'arrowup', 'arrowdown', 'home', 'end'],
};

/** What goes on while a key is held; all else would be turned on and off. */
const HELD: readonly PlayerAction['do'][] = ['move', 'volume', 'frame'];

/** What a key press asks the player for: nothing while somebody writes, or with a modifier. */
export function playerAction(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'altKey' | 'metaKey' | 'repeat' | 'target'>): PlayerAction | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey) return undefined;
  const key = event.key.toLowerCase();
  const element = event.target as { tagName?: string; type?: string; isContentEditable?: boolean } | null;
  const tag = element?.tagName ?? '';
  if (element?.isContentEditable || tag === 'TEXTAREA' || tag === 'INPUT') {
    const slides = element?.type === 'range';
    if (!slides || OWN['SELECT']?.slice(1).includes(key)) return undefined;
  }
  if (OWN[tag]?.includes(key)) return undefined;
  // A list goes to the entry that begins so.
  if (tag === 'SELECT' && /^[0-9.]$/.test(key)) return undefined;
  const action: PlayerAction | undefined = /^[0-9]$/.test(key) ? { do: 'jump', part: Number(key) / 10 } : KEYS[key];
  return event.repeat && action && !HELD.includes(action.do) ? undefined : action;
}

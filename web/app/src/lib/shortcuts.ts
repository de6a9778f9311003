/** What a key may do in a call. */
export type Action = 'microphone' | 'camera' | 'screen' | 'hand' | 'reactions' | 'chat' | 'people' | 'layout' | 'full' | 'statistics' | 'shortcuts' | 'close';

const KEYS: Record<string, Action> = {
  m: 'microphone',
  v: 'camera',
  s: 'screen',
  d: 'screen',
  h: 'hand',
  r: 'reactions',
  c: 'chat',
  p: 'people',
  l: 'layout',
  f: 'full',
  i: 'statistics',
  '?': 'shortcuts',
  escape: 'close',
};

/** What a key press asks for: nothing while somebody writes, with a modifier, or while a key repeats. */
export function actionOf(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'altKey' | 'metaKey' | 'repeat' | 'isComposing' | 'target'>): Action | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return undefined;
  const action = KEYS[event.key.toLowerCase()];
  return action === 'close' || !isWriting(event.target) ? action : undefined;
}

function isWriting(target: EventTarget | null): boolean {
  const element = target as { tagName?: string; isContentEditable?: boolean } | null;
  return element?.isContentEditable === true || ['INPUT', 'TEXTAREA', 'SELECT'].includes(element?.tagName ?? '');
}

/** Notices for screen readers are at least so far apart (ms): each cuts off the one before. */
const APART = 1500;

let said = $state('');
let next: string | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** What a screen reader is to say now. */
export function announced(): string {
  return said;
}

/** Has a screen reader say something. Of several at once it says the last. */
export function announce(text: string): void {
  if (timer !== undefined) {
    next = text;
    return;
  }
  said = text;
  timer = setTimeout(() => {
    timer = undefined;
    // The same again is heard again only after nothing.
    said = '';
    const waiting = next;
    next = undefined;
    if (waiting !== undefined) setTimeout(() => announce(waiting));
  }, APART);
}

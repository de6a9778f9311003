import { tick } from 'svelte';

/** Once the page is as it was changed: gives the focus on, where what had it is gone. Whoever has gone elsewhere meanwhile stays there. */
export async function passFocus(to: () => HTMLElement | null | undefined): Promise<void> {
  await tick();
  const at = document.activeElement;
  if (at === null || at === document.body) to()?.focus();
}

/** Hands the focus from a button to the one that takes its place when what it does has come about. */
export class Handover {
  #due = false;

  /** The button was used. */
  begin(): void {
    this.#due = true;
  }

  /** Nothing has come of it. */
  cancel(): void {
    this.#due = false;
  }

  /** An attachment for either button. */
  readonly take = (button: HTMLElement): void => {
    if (this.#due) void passFocus(() => button);
    this.#due = false;
  };
}

import type { Call } from '@althing/sdk';

/** Lines that wait at most. More would be read long after they were meant; fewer would stop somebody who types while the server is away for seconds. */
const WAITING = 16;

interface Line {
  number: number;
  text: string;
}

/** What is being written in a call, and what of it has been sent off and is not said yet: also while the chat is closed. */
export class Draft {
  text = $state('');
  /** In the order in which they were sent off. */
  waiting = $state.raw<readonly Line[]>([]);
  #call: Call | undefined;
  #sent = 0;

  follow(call: Call): void {
    this.#call = call;
    this.text = '';
    this.waiting = [];
  }

  /** Whether one more may wait. */
  get takesMore(): boolean {
    return this.waiting.length < WAITING;
  }

  /**
   * Sends off what is written, behind what waits. When a line is refused, it and all behind it stand in the entry again, before what has been written since.
   *
   * @throws what it was refused with
   */
  async send(): Promise<void> {
    const [text, call] = [this.text.trim(), this.#call];
    if (!text || !call || !this.takesMore) return;
    this.text = '';
    this.waiting = [...this.waiting, { number: ++this.#sent, text }];
    if (this.waiting.length === 1) await this.#sayAll(call);
  }

  async #sayAll(call: Call): Promise<void> {
    for (let next = this.waiting[0]; next; next = this.waiting[0]) {
      try {
        await call.say(next.text);
      } catch (error) {
        if (call !== this.#call) return;
        this.text = [...this.waiting.map(({ text }) => text), this.text].filter(Boolean).join('\n');
        this.waiting = [];
        throw error;
      }
      if (call !== this.#call) return;
      this.waiting = this.waiting.slice(1);
    }
  }
}

export const draft = new Draft();

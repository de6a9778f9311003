import type { Encryption } from './encryption.ts';
import { isSealed } from './e2ee/text.ts';
import type { ChatMessage } from './wire.ts';

/** Texts that are remembered: more than the chat that is kept. */
const MOST = 2000;

/** A call's chat as it is read, where it is sealed on its way: what was opened once is not opened again. */
export class SealedChat {
  readonly #encryption: Encryption | undefined;
  readonly #texts = new Map<string, string>();

  constructor(encryption: Encryption | undefined) {
    this.#encryption = encryption;
  }

  /** What is said to others of a text of this member. */
  async seal(text: string, member: string): Promise<string> {
    if (!this.#encryption) return text;
    const sealed = await this.#encryption.sealText(text, member);
    this.#remember(sealed, text);
    return sealed;
  }

  /** Opens what is not open yet. */
  async open(messages: readonly ChatMessage[]): Promise<void> {
    const encryption = this.#encryption;
    if (!encryption) return;
    await Promise.all(
      messages.map(async ({ text, member }) => {
        if (!isSealed(text) || this.#texts.has(text)) return;
        const opened = await encryption.openText(text, member);
        if (opened !== undefined) this.#remember(text, opened);
      }),
    );
  }

  /** A message as it is read. One that cannot be opened stays sealed. */
  read(message: ChatMessage): ChatMessage {
    const text = this.#texts.get(message.text);
    return text === undefined ? message : { ...message, text };
  }

  #remember(sealed: string, text: string): void {
    this.#texts.set(sealed, text);
    if (this.#texts.size > MOST) this.#texts.delete(this.#texts.keys().next().value ?? '');
  }
}

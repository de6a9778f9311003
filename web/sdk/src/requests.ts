import { AlthingError } from './errors.ts';
import type { OkResult, ServerMessage } from './wire.ts';

interface Pending {
  resolve: (result: OkResult | undefined) => void;
  reject: (error: AlthingError) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** The requests of one socket that wait for their answer. */
export class PendingRequests {
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  /** How many wait. */
  get size(): number {
    return this.#pending.size;
  }

  /** Registers a request: the id to send it with, and its answer. */
  add(timeoutMs: number): { id: number; answer: Promise<OkResult | undefined> } {
    const id = ++this.#lastId;
    const answer = new Promise<OkResult | undefined>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new AlthingError('timeout', `no answer within ${timeoutMs} ms`, true));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
    });
    return { id, answer };
  }

  /** Settles the request that `message` answers; false when none waits for it. */
  settle(message: Extract<ServerMessage, { type: 'ok' | 'error' }>): boolean {
    const id = message.id;
    const pending = id === undefined ? undefined : this.#pending.get(id);
    if (id === undefined || !pending) return false;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (message.type === 'ok') pending.resolve(message.result);
    else pending.reject(new AlthingError(message.code, message.message, message.retryable));
    return true;
  }

  /** Rejects all that wait. */
  fail(error: AlthingError): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of all) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
  }
}

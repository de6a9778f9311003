import { AlthingError, isAlthingError } from '@althing/sdk';
import type { Call } from '@althing/sdk';
import { FileExchange, TOPIC } from './files.ts';
import type { Transfer } from './files.ts';

/** By the socket pieces are so far apart (ms), that a member's other messages have room among them. */
const APART = 80;
/** A piece that was too many for the server is sent again so late (ms), and so often. */
const AGAIN = 700;
const TRIES = 20;

/** The files of the call that the page is in. */
class Files {
  transfers = $state.raw<readonly Transfer[]>([]);
  #exchange: FileExchange | undefined;
  /** Told of each file that is offered. */
  onoffer: (transfer: Transfer) => void = () => undefined;

  follow(call: Call): void {
    this.transfers = [];
    this.#exchange = undefined;
    call.on('data', ({ from, topic, payload }) => topic === TOPIC && this.#of(call)?.take(from, payload, Date.now()));
    call.on('memberLeft', ({ member }) => this.#exchange?.gone(member.member));
  }

  /** Offers a file; false when it is too large. */
  offer(call: Call, file: File): boolean {
    return this.#of(call)?.offer(file, Date.now()) ?? false;
  }

  accept(id: string): void {
    this.#exchange?.accept(id);
  }

  decline(id: string): void {
    this.#exchange?.decline(id);
  }

  #of(call: Call): FileExchange | undefined {
    const me = call.room?.me.member;
    if (me === undefined) return undefined;
    return (this.#exchange ??= new FileExchange(me, (payload, to) => send(call, payload, to), (transfers) => this.#show(transfers)));
  }

  #show(transfers: readonly Transfer[]): void {
    const known = new Set(this.transfers.map(({ id }) => id));
    this.transfers = transfers;
    for (const transfer of transfers) if (transfer.incoming && !known.has(transfer.id)) this.onoffer(transfer);
  }
}

async function send(call: Call, payload: string | Uint8Array<ArrayBuffer>, to: readonly string[]): Promise<void> {
  // The server could read it: an encrypted call has only its direct way for files.
  if (call.room?.encrypted && call.route.via !== 'direct') throw new AlthingError('forbidden', 'files go directly only, in a call that is encrypted end to end');
  for (let tries = 1; ; tries++) {
    try {
      await call.sendData(payload, { topic: TOPIC, to });
      if (typeof payload !== 'string' && call.route.via !== 'direct' && !call.hasDataChannels) await pause(APART);
      return;
    } catch (error) {
      if (!isAlthingError(error, 'rate_limited') || tries === TRIES) throw error;
      await pause(AGAIN);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export const files = new Files();

// Makes pictures whose background is blurred, beside the page: what it takes of time is the page's not.
import { Backdrop } from './backdrop.ts';
import { Rate } from './rate.ts';
import { RATE } from './said.ts';
import type { Order, Told } from './said.ts';
import { Segmenter } from './segmenter.ts';

const backdrop = Segmenter.load().then((segmenter) => new Backdrop(segmenter));
let reader: ReadableStreamDefaultReader<VideoFrame> | undefined;

function tell(what: Told, ...transferred: Transferable[]): void {
  self.postMessage(what, { transfer: transferred });
}

async function follow(readable: ReadableStream<VideoFrame>, writable: WritableStream<VideoFrame>): Promise<void> {
  const make = await backdrop;
  const [rate, writer] = [new Rate(RATE), writable.getWriter()];
  reader = readable.getReader();
  for (let begun = false; ; ) {
    const { value: frame, done } = await reader.read();
    if (done) return writer.close();
    const { timestamp } = frame;
    if (!rate.takes(timestamp / 1e6)) {
      frame.close();
      continue;
    }
    const made = new VideoFrame(make.make(frame), { timestamp, alpha: 'discard' });
    frame.close();
    await writer.write(made);
    if (!begun) tell({ type: 'begun' });
    begun = true;
  }
}

/** Timers of a page that is not looked at go slowly; this one's do not. */
let asked = 0;
function ask(): void {
  asked = performance.now();
  tell({ type: 'next' });
}

async function give(picture: ImageBitmap): Promise<void> {
  const canvas = (await backdrop).make(picture);
  picture.close();
  const made = canvas.transferToImageBitmap();
  tell({ type: 'made', picture: made }, made);
  setTimeout(ask, Math.max(0, asked + 1000 / RATE - performance.now()));
}

async function obey(order: Order): Promise<void> {
  switch (order.type) {
    case 'streams':
      return follow(order.readable, order.writable);
    case 'pictures':
      await backdrop;
      return ask();
    case 'picture':
      return give(order.picture);
    case 'close':
      await reader?.cancel();
      return self.close();
  }
}

self.onmessage = ({ data }: MessageEvent<Order>) => {
  obey(data).catch((error: unknown) => tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) }));
};

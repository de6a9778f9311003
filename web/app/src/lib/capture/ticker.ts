/** Ticks for a page whose own timers are slowed down while nobody looks at it. */
let timer: ReturnType<typeof setInterval> | undefined;

self.onmessage = ({ data }: MessageEvent<number>) => {
  clearInterval(timer);
  timer = data > 0 ? setInterval(() => self.postMessage(0), data) : undefined;
};

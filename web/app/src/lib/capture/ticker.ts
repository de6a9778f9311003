/** Ticks for a page whose own timers are slowed down while nobody looks at it: the next one only after the last one was answered. */
let timer: ReturnType<typeof setInterval> | undefined;
let isWaiting = false;

self.onmessage = ({ data }: MessageEvent<number | 'done'>) => {
  isWaiting = false;
  if (data === 'done') return;
  clearInterval(timer);
  timer = setInterval(() => {
    if (isWaiting) return;
    isWaiting = true;
    self.postMessage('tick');
  }, data);
};

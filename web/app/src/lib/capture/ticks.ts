/**
 * Calls back every `ms` milliseconds, in a page that nobody looks at as well; ends when the returned function is called. What takes longer is
 * called less often: half of the time stays for the rest of the page.
 */
export function everyTick(ms: number, act: () => void): () => void {
  const worker = new Worker(new URL('./ticker.ts', import.meta.url), { type: 'module' });
  let free = 0;
  worker.onmessage = () => {
    const now = performance.now();
    if (now >= free) {
      act();
      free = now + 2 * (performance.now() - now);
    }
    worker.postMessage('done');
  };
  worker.postMessage(ms);
  return () => worker.terminate();
}

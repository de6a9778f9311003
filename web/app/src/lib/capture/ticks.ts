/** Calls back every `ms` milliseconds, in a page that nobody looks at as well; ends when the returned function is called. */
export function everyTick(ms: number, act: () => void): () => void {
  const worker = new Worker(new URL('./ticker.ts', import.meta.url), { type: 'module' });
  worker.onmessage = act;
  worker.postMessage(ms);
  return () => worker.terminate();
}

/** What says nothing within this time (ms) has no length that could be known. */
const PATIENCE = 10_000;

/**
 * How long a file is (s), as far as the browser can tell; 0 when it cannot. What MediaRecorder wrote has no length in its header: a browser
 * learns it by seeking far beyond its end.
 */
export function probeLength(url: string): Promise<number> {
  const video = document.createElement('video');
  video.preload = 'metadata';
  video.muted = true;
  return new Promise<number>((resolve) => {
    const done = (length: number) => {
      clearTimeout(timer);
      resolve(length);
    };
    const timer = setTimeout(() => done(0), PATIENCE);
    const look = () => {
      if (Number.isFinite(video.duration)) done(video.duration);
      else if (video.currentTime === 0) video.currentTime = 1e7;
    };
    video.addEventListener('loadedmetadata', look);
    video.addEventListener('durationchange', look);
    video.addEventListener('seeked', () => done(Number.isFinite(video.duration) ? video.duration : video.currentTime));
    video.addEventListener('error', () => done(0));
    video.src = url;
  }).finally(() => {
    video.removeAttribute('src');
    video.load();
  });
}

/** Larger files (bytes) are not loaded as a whole only to draw them. */
const MOST_DECODED = 24_000_000;
const VALUES = 1000;

/** The loudness of a file that the server has no waveform of: it is decoded here, if it is small. */
export async function decodeWave(url: string, bytes: number): Promise<{ seconds_per_value: number; peaks: number[] } | undefined> {
  if (bytes > MOST_DECODED || typeof OfflineAudioContext === 'undefined') return undefined;
  try {
    const response = await fetch(url);
    if (!response.ok) return undefined;
    const sound = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(await response.arrayBuffer());
    const samples = sound.getChannelData(0);
    const size = Math.max(1, Math.ceil(samples.length / VALUES));
    const peaks = Array.from({ length: Math.ceil(samples.length / size) }, (_, index) => {
      let most = 0;
      for (let at = index * size; at < Math.min(samples.length, (index + 1) * size); at++) most = Math.max(most, Math.abs(samples[at] ?? 0));
      return most;
    });
    return { seconds_per_value: size / sound.sampleRate, peaks };
  } catch {
    return undefined;
  }
}

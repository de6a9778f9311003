import type { What } from '../witness.svelte.ts';

/** What files of pictures may be, best first: WebM is what can be given its length and a way to seek here. */
const PICTURES = ['video/webm;codecs=vp8,opus', 'video/webm;codecs=vp9,opus', 'video/webm', 'video/mp4;codecs=avc1.42E01F,mp4a.40.2', 'video/mp4'];
const SOUNDS = ['audio/webm;codecs=opus', 'audio/webm', 'audio/mp4', 'audio/ogg;codecs=opus'];
/** Bits a second: a stage of 720 lines with faces, and speech of several in two channels. */
export const RATES = { videoBitsPerSecond: 2_500_000, audioBitsPerSecond: 96_000 };

/** The type that this browser records in; undefined when it records nothing. */
export function typeFor(what: What, isSupported: (type: string) => boolean): string | undefined {
  return (what === 'audio' ? SOUNDS : PICTURES).find(isSupported);
}

/** How files of a type end. */
export function endingOf(type: string): string {
  const container = type.split(';')[0]?.split('/')[1] ?? '';
  if (container === 'mp4') return type.startsWith('audio') ? 'm4a' : 'mp4';
  return container === 'ogg' ? 'ogg' : 'webm';
}

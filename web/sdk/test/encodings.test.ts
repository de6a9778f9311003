import { expect, test } from 'vitest';
import { encodingsFor, takesAbsoluteSizes, tune } from '../src/encodings.ts';
import type { Encoding, VideoSource } from '../src/encodings.ts';

/** Encodings of a capture as `rid width×height bitrate`, where sizes are in pixels. */
function inPixels(source: VideoSource, width: number, height: number): string[] {
  const size = ({ scaleResolutionDownTo: to }: Encoding) => (to ? `${Math.min(to.maxWidth, width)}×${Math.min(to.maxHeight, height)}` : `${width}×${height}`);
  return encodingsFor(source, { width, height }, true).map((encoding) => `${encoding.rid ?? '-'} ${size(encoding)} ${(encoding.maxBitrate ?? 0) / 1000}k`);
}

/** The same as `rid/factor`, where they are scaled. */
function byFactors(source: VideoSource, width: number, height: number): string[] {
  return encodingsFor(source, { width, height }, false).map(({ rid = '-', scaleResolutionDownBy: factor = 1 }) => `${rid}/${factor}`);
}

test.each([
  [1280, 720, ['q 320×180 150k', 'h 640×360 500k', 'f 1280×720 1700k']],
  [640, 360, ['q 160×90 80k', 'h 320×180 150k', 'f 640×360 500k']],
  [640, 359, ['h 320×180 150k', 'f 640×359 500k']],
  [320, 240, ['h 160×120 80k', 'f 320×240 240k']],
  [320, 180, ['- 320×180 150k']],
  [720, 1280, ['q 180×320 150k', 'h 360×640 500k', 'f 720×1280 1700k']],
])('a camera of %i by %i is sent in sizes that are worth it', (width, height, wanted) => {
  expect(inPixels('camera', width, height)).toEqual(wanted);
});

test('a camera that is off is expected to show 720 lines', () => {
  expect(encodingsFor('camera', undefined, true)).toEqual(encodingsFor('camera', { width: 1280, height: 720 }, true));
});

test('a browser that scales by factors is given no more encodings than it would send', () => {
  expect(byFactors('camera', 1280, 720)).toEqual(['q/4', 'h/2', 'f/1']);
  expect(byFactors('camera', 960, 540)).toEqual(['q/4', 'h/2', 'f/1']);
  expect(byFactors('camera', 640, 480)).toEqual(['h/2', 'f/1']);
  expect(byFactors('camera', 640, 360)).toEqual(['h/2', 'f/1']);
  expect(byFactors('camera', 320, 240)).toEqual(['-/1']);
});

test('a shared screen is sent whole, and in a size for small tiles however large it is', () => {
  expect(inPixels('screen', 3840, 2160)).toEqual(['h 960×540 400k', 'f 3840×2160 2500k']);
  expect(inPixels('screen', 300, 150)).toEqual(['h 300×150 400k', 'f 300×150 2500k']);
  expect(byFactors('screen', 1920, 1080)).toEqual(['h/2', 'f/1']);
  expect(byFactors('screen', 300, 150)).toEqual(['-/1']);
});

test('each of several encodings has temporal layers and no spatial ones', () => {
  for (const source of ['camera', 'screen'] as const) {
    for (const encoding of encodingsFor(source, undefined, false)) expect(encoding.scalabilityMode).toBe('L1T3');
  }
});

test('an encoding of a capture that has become small is not made smaller than anybody could use', () => {
  expect(tune('camera', 'q', { width: 320, height: 180 })).toMatchObject({ scaleResolutionDownBy: 2 });
  expect(tune('camera', 'q', { width: 96, height: 54 })).toMatchObject({ scaleResolutionDownBy: 1 });
  expect(tune('camera', 'f', { width: 1920, height: 1080 })).toEqual({ maxBitrate: 3_480_000, scaleResolutionDownBy: 1 });
});

test('where there is no RTCPeerConnection, sizes are not taken in pixels', () => {
  expect(takesAbsoluteSizes()).toBe(false);
});

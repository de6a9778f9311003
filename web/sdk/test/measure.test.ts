import { expect, test } from 'vitest';
import { classify } from '../src/devices.ts';
import { loudness } from '../src/level.ts';
import { digest } from '../src/stats.ts';

test('a report becomes figures by m-line, with codec and transport', () => {
  const report = new Map<string, unknown>([
    ['C', { id: 'C', type: 'codec', mimeType: 'video/VP8' }],
    ['I', { id: 'I', type: 'inbound-rtp', kind: 'video', mid: '3', codecId: 'C', framesDecoded: 12, packetsReceived: 40 }],
    ['J', { id: 'J', type: 'inbound-rtp', kind: 'audio', mid: '2', totalAudioEnergy: 0.5 }],
    ['O', { id: 'O', type: 'outbound-rtp', kind: 'video', mid: '1', codecId: 'C', packetsSent: 9 }],
    ['R', { id: 'R', type: 'outbound-rtp', kind: 'video', mid: '1', rid: 'h', active: false }],
    ['P', { id: 'P', type: 'candidate-pair', currentRoundTripTime: 0.02 }],
    ['T', { id: 'T', type: 'transport', srtpCipher: 'AEAD_AES_128_GCM', dtlsState: 'connected', selectedCandidatePairId: 'P' }],
  ]);
  const stats = digest(report);
  expect(stats.inbound).toMatchObject([
    { mid: '3', kind: 'video', codec: 'video/VP8', framesDecoded: 12, packetsReceived: 40, freezeCount: 0 },
    { mid: '2', kind: 'audio', codec: undefined, totalAudioEnergy: 0.5 },
  ]);
  expect(stats.outbound).toMatchObject([
    { mid: '1', rid: undefined, codec: 'video/VP8', active: true, packetsSent: 9 },
    { mid: '1', rid: 'h', active: false, packetsSent: 0 },
  ]);
  expect(stats.transport).toMatchObject({ srtpCipher: 'AEAD_AES_128_GCM', roundTripTime: 0.02 });
});

test('no connection has no figures', () => {
  expect(digest(new Map())).toEqual({ transport: undefined, inbound: [], outbound: [] });
});

test('loudness runs from silence to full', () => {
  expect(loudness([0, 0, 0])).toBe(0);
  expect(loudness([1, -1, 1])).toBe(1);
  expect(loudness([0.03, -0.03])).toBeCloseTo(0.59, 1);
});

test.each([
  ['NotAllowedError', 'denied'],
  ['NotFoundError', 'not_found'],
  ['OverconstrainedError', 'not_found'],
  ['NotReadableError', 'in_use'],
  ['SecurityError', 'insecure'],
  ['SomethingNew', 'failed'],
])('%s is told as %s', (name, problem) => {
  expect(classify(new DOMException('no', name))).toBe(problem);
});

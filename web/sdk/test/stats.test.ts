import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { digest, followPair, selectedPair } from '../src/stats.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const report = (selected: string) =>
  new Map<string, unknown>([
    ['T', { id: 'T', type: 'transport', selectedCandidatePairId: selected }],
    ['P1', { id: 'P1', type: 'candidate-pair', localCandidateId: 'L1', remoteCandidateId: 'R1', state: 'succeeded', nominated: true }],
    ['P2', { id: 'P2', type: 'candidate-pair', localCandidateId: 'L2', remoteCandidateId: 'R1', state: 'succeeded', nominated: true }],
    ['L1', { id: 'L1', type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tcp' }],
    ['L2', { id: 'L2', type: 'local-candidate', candidateType: 'srflx', protocol: 'udp' }],
    ['R1', { id: 'R1', type: 'remote-candidate', candidateType: 'host', protocol: 'udp' }],
  ]);

test('the selected pair is the one that the transport names, not the first that was nominated', () => {
  expect(selectedPair(report('P1'))).toEqual({ local: 'relay', remote: 'host', protocol: 'tcp' });
  expect(selectedPair(report('P2'))).toEqual({ local: 'srflx', remote: 'host', protocol: 'udp' });
  expect(digest(report('P2')).pair).toEqual({ local: 'srflx', remote: 'host', protocol: 'udp' });
});

test('a change of the pair is seen though the first report after it is still the one before', () => {
  const ice: Pick<RTCIceTransport, 'onselectedcandidatepairchange'> = { onselectedcandidatepairchange: null };
  let kept = report('P1');
  const seen: (string | undefined)[] = [];
  followPair(ice, () => seen.push(selectedPair(kept)?.local));
  followPair(ice, () => seen.push('twice'));
  (ice.onselectedcandidatepairchange as (event?: Event) => void)();
  kept = report('P2');
  vi.advanceTimersByTime(1000);
  expect(seen).toEqual(['relay', 'srflx']);
  followPair(undefined, () => seen.push('nothing'));
});

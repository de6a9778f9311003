import { expect, test } from 'vitest';
import { generationOf, isNewer, originOf, ranked, rankedDescription } from '../src/ranking.ts';

const HOST = 'candidate:1560077803 1 udp 2122194687 192.168.1.2 48379 typ host generation 6 ufrag 8/1l network-id 3';
const SRFLX = 'candidate:2038770177 1 udp 1685987071 203.0.113.11 48379 typ srflx raddr 192.168.1.2 rport 48379 generation 6 ufrag 8/1l';
const RELAY = 'candidate:3 1 udp 41885695 203.0.113.2 50000 typ relay raddr 203.0.113.11 rport 48379';
const priorityOf = (candidate: string) => Number(candidate.split(' ')[3]);

test('of two descriptions of an end that is newer which was made later', () => {
  const [second, tenth] = [2, 10].map((version) => `v=0\r\no=- 7614 ${version} IN IP4 127.0.0.1\r\ns=-\r\n`) as [string, string];
  expect(isNewer(tenth, second)).toBe(true);
  expect(isNewer(second, tenth)).toBe(false);
  expect(isNewer(second, second)).toBe(false);
  expect(isNewer(second, undefined)).toBe(true);
  expect(isNewer('v=0', second)).toBe(false);
});

test('a later generation comes before an earlier one, and within one the order stays', () => {
  for (const generation of [0, 1, 59]) {
    expect(priorityOf(ranked(HOST, generation))).toBeGreaterThan(priorityOf(ranked(SRFLX, generation)));
    expect(priorityOf(ranked(SRFLX, generation + 1))).toBeGreaterThan(priorityOf(ranked(HOST, generation)));
  }
});

test('all are below what a browser gives its own, and above every relay, which stays as it is', () => {
  for (const generation of [0, 60, 1000]) {
    // Server reflexive: the least of those that are no relay's.
    expect(priorityOf(ranked(HOST, generation))).toBeLessThan(100 * 2 ** 24);
    expect(priorityOf(ranked(SRFLX, generation))).toBeGreaterThan(3 * 2 ** 24);
    expect(ranked(RELAY, generation)).toBe(RELAY);
  }
});

test('nothing else of a candidate is touched, and what is none stays as it is', () => {
  const parts = ranked(SRFLX, 1).split(' ');
  parts[3] = '1685987071';
  expect(parts.join(' ')).toBe(SRFLX);
  for (const text of ['', 'candidate:', 'candidate:1 1 udp x 1.2.3.4 5 typ host', 'nonsense']) expect(ranked(text, 3)).toBe(text);
});

test('descriptions are read line by line', () => {
  const sdp = ['v=0', 'o=- 24055 7 IN IP4 127.0.0.1', 's=-', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=ice-ufrag:8/1l', `a=${HOST}`, `a=${RELAY}`, ''].join('\r\n');
  expect(originOf(sdp)).toBe('- 24055 7 IN IP4 127.0.0.1');
  expect(generationOf(sdp)).toBe('8/1l');
  expect(rankedDescription(sdp, 2)).toBe(sdp.replace(HOST, ranked(HOST, 2)));
  expect([originOf('v=0'), generationOf('v=0')]).toEqual([undefined, undefined]);
});

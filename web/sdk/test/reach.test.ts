import { expect, test } from 'vitest';
import { unreachedText, whyUnreached } from '../src/reach.ts';

function answer(...addresses: string[]): string {
  const lines = addresses.flatMap((address, i) => [
    `a=candidate:${i + 1} 1 udp 2130706431 ${address} 40000 typ host`,
    `a=candidate:${i + 9} 1 tcp 1675624447 ${address} 40000 typ host tcptype passive`,
  ]);
  return ['v=0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', ...lines, ...lines, 'a=end-of-candidates', ''].join('\r\n');
}

test('private addresses are the reason for whoever has the page from elsewhere', () => {
  for (const address of ['10.0.0.5', '192.168.1.2', '172.20.0.2', '100.64.0.1', '169.254.1.2', 'fd00::7', 'fe80::7']) {
    expect(whyUnreached(answer(address, '127.0.0.1'), 'meet.example.org').code, address).toBe('announced_private');
  }
  expect(whyUnreached(answer('10.0.0.5'), 'meet.example.org').addresses).toEqual(['10.0.0.5']);
});

test('addresses of the server alone are the reason for all other machines', () => {
  expect(whyUnreached(answer('127.0.0.1', '::1'), 'meet.example.org').code).toBe('announced_loopback');
  expect(whyUnreached(answer('127.0.0.1'), '192.168.1.20').code).toBe('announced_loopback');
});

test('addresses that could be reached are not blamed: the ports are', () => {
  for (const [page, address] of [
    ['192.168.1.20', '10.0.0.5'],
    ['server.local', '192.168.1.2'],
    ['localhost', '127.0.0.1'],
    ['[::1]', '::1'],
    ['meet.example.org', '198.51.100.7'],
    ['meet.example.org', '172.32.0.1'],
    ['meet.example.org', '2a00::7'],
  ] as const) {
    expect(whyUnreached(answer(address), page), `${page} ${address}`).toEqual({ code: 'ports_blocked', addresses: [address], udp: [40000], tcp: [40000] });
  }
  expect(whyUnreached('v=0\r\n', 'meet.example.org').code).toBe('ports_blocked');
});

test('the reason is a sentence', () => {
  expect(unreachedText(whyUnreached(answer('10.0.0.5'), 'meet.example.org'))).toContain('only addresses of a private network (10.0.0.5)');
  expect(unreachedText(whyUnreached(answer('127.0.0.1'), 'meet.example.org'))).toContain('only addresses of its own machine (127.0.0.1)');
  expect(unreachedText(whyUnreached(answer('198.51.100.7'), 'meet.example.org'))).toContain('UDP port 40000 and TCP port 40000 may be blocked');
});

import type { ClientErrorCode } from './errors.ts';

/** Why no way to the server's media was found, as far as this end can tell. */
export interface Unreached {
  code: Extract<ClientErrorCode, 'announced_loopback' | 'announced_private' | 'ports_blocked'>;
  /** The addresses that the server announces. */
  addresses: readonly string[];
  /** The ports that it announces, by UDP and by TCP. */
  udp: readonly number[];
  tcp: readonly number[];
}

/** From how far away an address or a host can be reached: its own machine, its own network, everywhere. */
const LOOPBACK = 0;
const PRIVATE = 1;
const PUBLIC = 2;

const LOOPBACK_HOST = /^(localhost|.*\.localhost|127(\.\d+){3}|::1)$/;
/** RFC 1918, RFC 6598, link-local, unique local, multicast DNS. */
const PRIVATE_HOST =
  /^(10(\.\d+){3}|192\.168(\.\d+){2}|172\.(1[6-9]|2\d|3[01])(\.\d+){2}|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])(\.\d+){2}|169\.254(\.\d+){2}|f[cd][0-9a-f]{2}:.*|fe[89ab][0-9a-f]:.*|.*\.local)$/;

function reach(host: string): number {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  if (LOOPBACK_HOST.test(name)) return LOOPBACK;
  return PRIVATE_HOST.test(name) ? PRIVATE : PUBLIC;
}

/**
 * The most likely reason why a connection never came up: `answer` is the server's description with its candidates (RFC 8839 section 5.1),
 * `page` the host that the page came from. Whoever has the page from further away than any announced address reaches cannot reach one.
 */
export function whyUnreached(answer: string, page: string): Unreached {
  const candidates = [...answer.matchAll(/^a=candidate:\S+ \d+ (udp|tcp) \d+ (\S+) (\d+) typ /gim)].map(([, transport, address, port]) => ({
    transport: transport?.toLowerCase(),
    address: address ?? '',
    port: Number(port),
  }));
  const addresses = [...new Set(candidates.map(({ address }) => address))];
  const ports = (by: string) => [...new Set(candidates.filter(({ transport }) => transport === by).map(({ port }) => port))];
  const furthest = Math.max(LOOPBACK, ...addresses.map(reach));
  const out = addresses.length > 0 && reach(page) > furthest;
  const code = !out ? 'ports_blocked' : furthest === LOOPBACK ? 'announced_loopback' : 'announced_private';
  return { code, addresses, udp: ports('udp'), tcp: ports('tcp') };
}

/** The reason as a sentence, for logs. */
export function unreachedText({ code, addresses, udp, tcp }: Unreached): string {
  const list = addresses.join(', ');
  if (code === 'announced_loopback') return `The server announces only addresses of its own machine (${list}): no other machine can reach them.`;
  if (code === 'announced_private') return `The server announces only addresses of a private network (${list}), which cannot be reached from elsewhere.`;
  const by = [udp.length > 0 && `UDP port ${udp.join(', ')}`, tcp.length > 0 && `TCP port ${tcp.join(', ')}`].filter(Boolean).join(' and ');
  return `No way to the server's media ports was found: ${by || 'they'} may be blocked on the way to ${list || 'it'}.`;
}

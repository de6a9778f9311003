import { board, lines, of, quantile, sum } from '../panels.mjs';

const spread = (metric) => ({ '50 %': quantile(0.5, metric), '95 %': quantile(0.95, metric), '99 %': quantile(0.99, metric) });

export default board('joins', 'joins', 'From opening the socket to the first packet: where joins fail, and what they wait for.', {
  Results: [
    lines('Joins', 'Joins and resumptions a second, by result.', 'ops', { '{{result}}': sum('joins_total', 'result') }),
    lines('Requests refused', 'A second, by error code: what clients did wrong, or may not.', 'ops', { '{{code}}': sum('signaling_errors_total', 'code') }),
    lines('Not reached', 'Connections to the media ports that have not come up within 15 s, and people whose direct connection failed: a second.', 'ops', { 'by the server': sum('media_unreached_total'), directly: sum('direct_connections_failed_total') }),
  ],
  Times: [
    lines('Answer to a join', 'From reading the request to its answer.', 's', spread('join_seconds')),
    lines('First way', 'From a connection’s plan to the first ICE check that was validated: the client’s answer and network.', 's', spread('ice_connect_seconds')),
    lines('Handshake', 'From there to the keys: two round trips of DTLS.', 's', spread('dtls_handshake_seconds')),
    lines('First media', 'From a connection’s plan to its first packet of a track.', 's', spread('first_media_seconds')),
  ],
  'On the way': [
    lines('STUN requests', 'A second, by result.', 'ops', { '{{result}}': sum('stun_requests_total', 'result') }),
    lines('DTLS handshakes', 'A second, by how far they came.', 'ops', { '{{result}}': sum('dtls_handshakes_total', 'result') }),
    lines('TLS handshakes', 'Of the public listener, a second.', 'ops', { '{{result}}': sum('tls_handshakes_total', 'result') }),
    lines('Signaling', 'Requests a second, by type.', 'ops', { '{{type}}': sum('signaling_messages_total', 'type') }),
    lines('Sockets', 'Signaling sockets now, and members whose socket was closed because they took too little.', 'short', { now: `sum (${of('signaling_sockets')})`, slow: sum('slow_members_total') }),
    lines('Calls of a person', 'A second, by what has become of them.', 'ops', { '{{outcome}}': sum('rings_total', 'outcome') }),
    lines('Direct connections', 'Made a second, by the less direct of their candidates.', 'ops', { '{{pair}} {{protocol}}': sum('direct_connections_total', 'pair, protocol') }),
  ],
});

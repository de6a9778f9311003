import { above, board, lines, mean, of, quantile, sum } from '../panels.mjs';

const WAYS = 'direction, kind';

export default board('quality', 'media quality', 'How the ways do, and what is done about it. Of a single call: the page /calls of the admin listener.', {
  'The ways': [
    lines('Loss', 'Mean share of packets lost on the way, before repairs: received is from publishers, sent is to subscribers.', 'percentunit', { '{{direction}} {{kind}}': mean('loss_ratio', WAYS) }),
    lines('Lossy seconds', 'Share of seconds of streams in which more than 5 % was lost.', 'percentunit', { '{{direction}} {{kind}}': above('0.05', 'loss_ratio', WAYS) }),
    lines('Jitter, 95 %', 'Of a hundred seconds of streams, 95 had less.', 's', { '{{direction}} {{kind}}': quantile(0.95, 'jitter_seconds', WAYS) }),
    lines('Round trips', 'Of each peer, once a second.', 's', { '50 %': quantile(0.5, 'round_trip_seconds'), '95 %': quantile(0.95, 'round_trip_seconds'), '99 %': quantile(0.99, 'round_trip_seconds') }),
    lines('Estimates of links', 'What subscribers’ links are thought to carry: a tenth has less than the lowest line.', 'bps', { '10 %': `8 * ${quantile(0.1, 'link_estimate_bytes_per_second')}`, '50 %': `8 * ${quantile(0.5, 'link_estimate_bytes_per_second')}`, '90 %': `8 * ${quantile(0.9, 'link_estimate_bytes_per_second')}` }),
    lines('Links that do not answer', 'Subscribers a second that negotiated reports of what they receive and sent none.', 'ops', { links: sum('links_unanswered_total') }),
  ],
  'What is done about it': [
    lines('Layer switches', 'Pictures a second that subscribers got in another form, by cause.', 'ops', { '{{cause}}': sum('layer_switches_total', 'cause') }),
    lines('Key frames asked for', 'A second: received from subscribers, sent to publishers.', 'ops', { '{{direction}}': sum('key_frame_requests_total', 'direction') }),
    lines('Repairs', 'Packets a second: asked for again, sent again, no longer there, repaired by publishers.', 'pps', {
      'asked for by us': sum('nacked_packets_total', '', 'direction="sent"'),
      'asked for by subscribers': sum('nacked_packets_total', '', 'direction="received"'),
      'sent again': sum('rtp_packets_retransmitted_total'),
      'no longer there': sum('nack_misses_total'),
      'holes filled': sum('rtp_packets_repaired_total'),
    }),
    lines('Pacing', 'Packets of pictures that had to wait, probes, and times that what waited was given up: a second.', 'pps', { waited: sum('paced_packets_total'), probes: sum('probe_packets_total'), 'given up': sum('pace_queue_overflows_total') }),
    lines('Forwards left out', 'A second, by reason: of other encodings and layers by choice; undecodable and without a key frame is what nobody sees.', 'pps', { '{{reason}}': sum('forwards_dropped_total', 'reason') }),
    lines('Fallbacks', 'Pictures that are wanted, and sent, once more in another codec.', 'short', { '{{state}}': `sum by (state) (${of('fallbacks')})` }),
  ],
});

import { above, board, lines, mean, number, of, quantile, rate, sum } from '../panels.mjs';

export default board('overview', 'overview', 'Who is there, what goes through, and whether anything is wrong.', {
  Now: [
    number('Rooms', 'Rooms open.', 'short', `sum (${of('rooms')})`),
    number('Members', 'Members of all rooms, those whose socket is lost included.', 'short', `sum (${of('members')})`),
    number('Sent', 'Bits of datagrams sent a second.', 'bps', `8 * ${sum('sent_bytes_total')}`),
    number('Busiest worker', 'CPU time of the busiest worker, of one core.', 'percentunit', `max (${rate('worker_busy_seconds_total')})`),
    number('Joins refused', 'Share of joins that were refused.', 'percentunit', `1 - ${sum('joins_total', '', 'result=~"ok|resumed"')} / ${sum('joins_total')}`),
    number('Lossy pictures', 'Share of seconds of pictures sent of which more than 5 % was lost on the way, before repairs.', 'percentunit', above('0.05', 'loss_ratio', '', 'direction="sent", kind="video"')),
  ],
  People: [
    lines('Members and rooms', 'As they are at each scrape.', 'short', { members: `sum (${of('members')})`, rooms: `sum (${of('rooms')})`, sockets: `sum (${of('signaling_sockets')})`, 'WHIP and WHEP': `sum (${of('whip_sessions')})` }),
    lines('Joins', 'Joins and resumptions a second, by result.', 'ops', { '{{result}}': sum('joins_total', 'result') }),
    lines('Calls by way', 'Rooms with media: directly between two, or through the server.', 'short', { '{{via}}': `sum by (via) (${of('calls')})` }, { stack: true }),
  ],
  Traffic: [
    lines('Bits', 'Bits of datagrams a second, as they go over the wire without IP and UDP headers.', 'bps', { received: `8 * ${sum('received_bytes_total')}`, sent: `8 * ${sum('sent_bytes_total')}` }),
    lines('Media packets', 'RTP packets a second, by direction and kind.', 'pps', { '{{direction}} {{kind}}': sum('media_packets_total', 'direction, kind') }),
    lines('Media bits', 'Bits of RTP a second, by direction and kind.', 'bps', { '{{direction}} {{kind}}': `8 * ${sum('media_bytes_total', 'direction, kind')}` }),
  ],
  Health: [
    lines('Workers', 'CPU time of each worker, of one core. Near 1 packets wait.', 'percentunit', { '{{instance}} {{worker}}': rate('worker_busy_seconds_total') }),
    lines('Packets dropped', 'A second, by reason. Some is normal: padding, what comes late, voices that are not heard.', 'pps', { '{{reason}}': sum("packets_dropped_total", "reason") }),
    lines('Socket drops', 'Datagrams a second that the sockets did not take. More than none: buffers are too small, or the link is full.', 'pps', { '{{reason}}': sum('socket_drops_total', 'reason') }),
    lines('Memory', 'Of the whole process.', 'bytes', { '{{instance}}': 'process_resident_memory_bytes{job="althing", instance=~"$node"}' }),
    lines('CPU', 'Of the whole process, in cores.', 'short', { '{{instance}}': 'rate(process_cpu_seconds_total{job="althing", instance=~"$node"}[$__rate_interval])' }),
    lines('Faults', 'Rooms dropped after a fault, events that were lost, members who took too little, connections that did not come up: a second.', 'ops', {
      'room panics': sum('room_panics_total'),
      'events dropped': sum('media_events_dropped_total'),
      'slow members': sum('slow_members_total'),
      'not reached': sum('media_unreached_total'),
    }),
    lines('Round trips', 'To members and back, each once a second.', 's', { mean: mean('round_trip_seconds'), '95 %': quantile(0.95, 'round_trip_seconds') }),
  ],
});

import { board, lines, mean, of, quantile, rate, sum } from '../panels.mjs';

const EACH = 'instance, worker';
const each = (metric) => `sum by (${EACH}) (${of(metric)})`;

export default board('workers', 'workers', 'The threads that move packets.', {
  Load: [
    lines('Busy', 'CPU time of each worker, of one core.', 'percentunit', { '{{instance}} {{worker}}': rate('worker_busy_seconds_total') }),
    lines('Loop lag, 99 %', 'How late timers were served. More than some milliseconds: the machine does not give the worker its core.', 's', { '{{instance}} {{worker}}': quantile(0.99, 'worker_loop_lag_seconds', EACH) }),
    lines('Turns', 'Turns of the loop a second; an idle worker makes none.', 'ops', { '{{instance}} {{worker}}': sum('worker_ticks_total', EACH) }),
  ],
  Sockets: [
    lines('Datagrams', 'A second.', 'pps', { received: sum('datagrams_received_total'), sent: sum('datagrams_sent_total') }),
    lines('Batches', 'Messages taken from a socket at once, and datagrams sent with one call: more is cheaper.', 'short', { 'received, mean': mean('worker_receive_batch_messages'), 'received, 95 %': quantile(0.95, 'worker_receive_batch_messages'), 'sent, mean': `${sum('datagrams_sent_total')} / ${sum('send_calls_total')}` }),
    lines('Drops', 'Datagrams a second that the sockets did not take, and replies that were offered again.', 'pps', { '{{reason}}': sum('socket_drops_total', 'reason'), held: sum('socket_held_total') }),
    lines('Fragments and refused runs', 'Datagrams sent in pieces, and runs that the kernel refused: a second.', 'ops', { 'in pieces': sum('datagrams_fragmented_total'), 'runs refused': sum('send_runs_refused_total') }),
    lines('Streams', 'TCP connections now, and those accepted and refused a second.', 'short', { now: `sum (${of('worker_streams')})`, '{{result}}': sum('streams_total', 'result') }),
    lines('Packets dropped', 'A second, by reason.', 'pps', { '{{reason}}': sum('packets_dropped_total', 'reason') }),
  ],
  'What they hold': [
    lines('Connections', 'Of each worker.', 'short', { '{{instance}} {{worker}}': each('worker_peers') }),
    lines('Tracks and subscriptions', 'Of all workers.', 'short', { published: `sum (${of('worker_tracks')})`, 'of other workers': `sum (${of('worker_imports')})`, subscriptions: `sum (${of('worker_legs')})` }),
    lines('Memory', 'By what it is for.', 'bytes', { '{{kind}}': `sum by (kind) (${of('memory_bytes')})` }, { stack: true }),
  ],
  'Between workers': [
    lines('Packets that crossed', 'A second, each packet once to each worker that has subscribers for it.', 'pps', { '{{direction}}': sum('relay_packets_total', 'direction') }),
    lines('Messages dropped', 'A second, by reason.', 'ops', { '{{reason}}': sum('relay_drops_total', 'reason') }),
    lines('Strays and faults', 'Datagrams that arrived at another worker, commands that named something unknown, rooms dropped after a fault: a second.', 'ops', { '{{direction}}': sum('stray_datagrams_total', 'direction'), commands: sum('commands_ignored_total'), 'room panics': sum('room_panics_total') }),
    lines('RTCP', 'Compounds a second.', 'pps', { received: sum('rtcp_packets_received_total'), sent: sum('rtcp_packets_sent_total') }),
    lines('Data channels', 'Messages a second, and those dropped.', 'ops', { '{{direction}}': sum('data_messages_total', 'direction'), dropped: sum('data_drops_total') }),
  ],
});

import { board, lines, number, of, sum } from '../panels.mjs';

export default board('turn', 'relay', 'TURN: who is relayed, how much, and what is refused.', {
  Now: [
    number('Allocations', 'Allocations that the relay holds.', 'short', `sum (${of('worker_allocations')})`),
    number('Relayed', 'Bits a second, both directions.', 'bps', `8 * ${sum('turn_bytes_total')}`),
  ],
  Use: [
    lines('Allocations', 'A second, by what came of them.', 'ops', { '{{result}}': sum('turn_allocations_total', 'result') }),
    lines('Packets', 'Relayed a second.', 'pps', { '{{direction}}': sum('turn_packets_total', 'direction') }),
    lines('Bits', 'Relayed a second.', 'bps', { '{{direction}}': `8 * ${sum('turn_bytes_total', 'direction')}` }),
  ],
  Refused: [
    lines('Requests refused', 'A second, by reason. Without credentials (unauthorized) each allocation begins.', 'ops', { '{{reason}}': sum('turn_requests_refused_total', 'reason') }),
    lines('Data dropped', 'Packets a second, by reason.', 'pps', { '{{reason}}': sum('turn_drops_total', 'reason') }),
    lines('Streams', 'TCP connections that are accepted and refused, a second.', 'ops', { '{{result}}': sum('streams_total', 'result') }),
  ],
});

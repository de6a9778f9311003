import { board, lines, number, of, sum } from '../panels.mjs';

export default board('events', 'events and bucket', 'What is written of what happens in rooms, whether its receivers take it, and whether the bucket keeps up.', {
  Now: [
    number('Behind', 'How old the oldest event is that its receiver has not taken.', 's', `max (${of('webhook_oldest_event_seconds')})`),
    number('Waiting', 'Events that wait, of the receiver that has most.', 'short', `max (${of('webhook_events_waiting')})`),
    number('Log', 'Bytes of events that are kept.', 'bytes', `sum (${of('event_log_bytes')})`),
    number('Log refuses', '1 while the disk takes no events.', 'short', `max (${of('event_log_refuses')})`),
    number('For the bucket', 'Things that wait to be in the bucket as they are on the disk.', 'short', `sum (${of('store_waiting')})`),
    number('Bucket refuses', '1 while the bucket has taken nothing for a minute.', 'short', `max (${of('store_failing')})`),
  ],
  Events: [
    lines('Written', 'Events a second that are on the disk.', 'ops', { written: sum('events_written_total') }),
    lines('Lost', 'Events a second that nobody will be told, by reason, and those that no receiver has taken for too long.', 'ops', { '{{reason}}': sum('events_lost_total', 'reason'), 'given up': sum('webhook_events_given_up_total') }),
    lines('Log', 'Bytes of events that are kept.', 'bytes', { bytes: `sum (${of('event_log_bytes')})` }),
  ],
  Webhooks: [
    lines('Attempts', 'A second, by what came of them.', 'ops', { '{{result}}': sum('webhook_attempts_total', 'result') }),
    lines('Share taken', 'Of the attempts, so many were taken.', 'percentunit', { taken: `${sum('webhook_attempts_total', '', 'result="delivered"')} / ${sum('webhook_attempts_total')}` }),
    lines('Behind', 'How old the oldest event is that is not delivered, of the receiver that is most behind.', 's', { '{{instance}}': of('webhook_oldest_event_seconds') }),
  ],
  Bucket: [
    lines('Copied and read', 'Bytes a second to the bucket, and from there.', 'Bps', { copied: sum('store_copied_bytes_total'), read: sum('store_read_bytes_total') }),
    lines('Objects', 'Copied and deleted a second; files that left the disk, since the bucket has them.', 'ops', { '{{done}}': sum('store_objects_total', 'done'), 'left the disk': sum('store_left_total') }),
    lines('Failures', 'A second, by what could not be done.', 'ops', { '{{what}}': sum('store_failures_total', 'what') }),
    lines('Waiting', 'Things that wait to be in the bucket as they are on the disk.', 'short', { waiting: `sum (${of('store_waiting')})` }),
  ],
  Limits: [
    lines('Limits reached', 'Requests a second that were refused because there is only so much of something.', 'ops', { '{{limit}}': sum('limits_reached_total', 'limit') }),
    lines('Publishers above their limit', 'A second: they were told, or what took most ended.', 'ops', { '{{action}}': sum('publish_excess_total', 'action') }),
  ],
});

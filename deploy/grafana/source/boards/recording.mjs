import { board, lines, mean, number, of, quantile, sum } from '../panels.mjs';

export default board('recording', 'recording', 'What is recorded, whether the disk keeps up, and what is made of it.', {
  Now: [
    number('Recordings', 'Rooms that are recorded.', 'short', `sum (${of('recordings')})`),
    number('Stalled', '1 while recordings cannot be written.', 'short', `max (${of('recording_stalled')})`),
    number('Free', 'Bytes that are free where recordings go.', 'bytes', `min (${of('recording_free_bytes')})`),
    number('Library', 'Bytes of what is kept.', 'bytes', `sum (${of('library_bytes')})`),
  ],
  'To the disk': [
    lines('Written', 'Bytes a second.', 'Bps', { written: sum('recording_bytes_total') }),
    lines('Syncs', 'How long it takes to make last what was recorded, once a second.', 's', { mean: mean('recording_sync_seconds'), '99 %': quantile(0.99, 'recording_sync_seconds') }),
    lines('Lost', 'Pieces lost a second by what refused them, and calls that the disk refused.', 'ops', { '{{reason}}': sum('recording_pieces_lost_total', 'reason'), 'refused: {{wanted}}': sum('recording_disk_errors_total', 'wanted') }),
    lines('Packets copied', 'RTP packets a second, copied for recordings or dropped because their ring was full.', 'pps', { '{{result}}': sum('tap_packets_total', 'result') }),
  ],
  'What is kept': [
    lines('Library', 'Recordings, screenshots and uploads that are kept; uploads and archives under way.', 'short', { kept: `sum (${of('library_items')})`, 'uploads under way': `sum (${of('library_uploads')})`, 'archives under way': `sum (${of('library_zips')})` }),
    lines('Deleted', 'A second, by reason.', 'ops', { '{{reason}}': sum('library_deleted_total', 'reason') }),
    lines('Uploads', 'Bytes taken a second, and uploads that came to an end, by how.', 'short', { bytes: sum('library_upload_bytes_total'), '{{how}}': sum('library_uploads_ended_total', 'how') }),
    lines('Links', 'Used a second, by what came of it.', 'ops', { '{{result}}': sum('library_links_total', 'result') }),
    lines('Jobs', 'Pictures, waveforms and mixdowns that wait or are made.', 'short', { '{{kind}}': `sum by (kind) (${of('jobs')})` }, { stack: true }),
    lines('Jobs ended', 'A second, by result.', 'ops', { '{{kind}} {{result}}': sum('jobs_ended_total', 'kind, result') }),
    lines('Time of jobs', 'Seconds of work a second.', 'short', { '{{kind}}': sum('jobs_seconds_total', 'kind') }, { stack: true }),
    lines('Files repaired', 'At starts, because the node had ended in the middle of them.', 'short', { files: `sum (${of('recording_files_repaired_total')})` }),
  ],
});

import { isAlthingError } from '@althing/sdk';
import type { AlthingError, DeviceProblem, Over, RecordingPause, Route, TrackQuality, Unreached } from '@althing/sdk';
import { m } from '../paraglide/messages.js';
import type { What } from './witness.svelte.ts';
import type { Judgement } from './figures.ts';

/** Why a room could not be entered, and what to do about it. */
export function joinProblem(error: AlthingError): string {
  switch (error.code) {
    case 'connection_lost':
    case 'timeout':
      return m.error_unreachable();
    case 'token_missing':
      return m.error_token_missing();
    case 'token_expired':
      return m.error_token_expired();
    case 'token_invalid':
    case 'token_wrong_room':
      return m.error_token();
    case 'kicked':
      return m.error_kicked();
    case 'full':
      return m.error_full();
    case 'draining':
      return m.error_draining();
    case 'direct_only':
      return m.error_direct_only();
    case 'rate_limited':
    case 'internal':
      return m.error_later();
    case 'locked':
      return m.error_locked();
    case 'not_admitted':
      return m.error_not_admitted();
    case 'encryption_differs':
      return m.error_encryption();
    case 'invalid_room_name':
      return m.error_room_name();
    case 'invalid_name':
      return m.error_name();
    default:
      return m.error_other({ message: error.message });
  }
}

/** What has gone wrong in a call that goes on. */
export function troubleInCall(error: AlthingError): string {
  switch (error.code) {
    case 'direct_unreached':
      return m.unreached_direct();
    case 'publish_excess':
      return m.publish_excess();
    case 'publish_ended':
      return m.publish_ended();
    case 'library_full':
      return m.library_full();
    default:
      return m.error_other({ message: error.message });
  }
}

/** Why something that was asked for was refused, by its code, and what to do about it. */
export function refusal(error: unknown, code = (error as { code?: unknown } | null)?.code): string {
  switch (code) {
    case 'recording_unavailable':
      return m.recording_unavailable();
    case 'library_full':
      return m.library_full();
    case 'encrypted':
      return m.record_encrypted();
    case 'forbidden':
      return m.error_forbidden();
    case 'not_found':
    case 'wrong_state':
      return m.error_changed();
    case 'rate_limited':
    case 'internal':
      return m.error_later();
    case 'timeout':
    case 'connection_lost':
      return m.error_unreachable();
    default:
      return m.error_other({ message: error instanceof Error ? error.message : String(error) });
  }
}

/** Why nothing is recorded on this device, or no more, or why nothing can be done with what was. */
export function recordingProblem(error: unknown): string {
  if (isAlthingError(error)) return refusal(error);
  if (error instanceof DOMException && error.name === 'QuotaExceededError') return m.recording_disk_full();
  return error instanceof Error ? error.message : String(error);
}

/** Why the server can take no picture of a call; nothing where it can. */
export function unseenByServer({ encrypted, via, screenshots }: { encrypted: boolean; via: Route['via']; screenshots: boolean }): string | undefined {
  if (encrypted) return m.screenshot_encrypted();
  if (!screenshots) return m.screenshot_no_ffmpeg();
  return { none: m.screenshot_alone, direct: m.screenshot_direct, server: () => undefined }[via]();
}

/** Why the server has taken no picture, and what to do about it. */
export function screenshotProblem(error: unknown): string {
  switch ((error as { code?: unknown } | null)?.code) {
    case 'screenshot_unavailable':
      return m.screenshot_unavailable();
    case 'rate_limited':
      return m.screenshot_busy();
    case 'library_full':
      return m.library_full();
    case 'wrong_state':
    case 'not_found':
      return m.no_picture();
    default:
      return refusal(error);
  }
}

/** That somebody records in their own browser. */
export function recordsLocally(what: What, name: string): string {
  return { audio: m.records_audio_event, call: m.records_call_event, screen: m.records_screen_event }[what]({ name });
}

/** Why a call is over. */
export function endReason(error: AlthingError): string {
  if (error.code === 'kicked') return m.ended_kicked();
  if (error.message === 'ended') return m.ended_by_service();
  if (error.code !== 'closed') return m.ended_lost({ message: joinProblem(error) });
  return error.message === 'replaced' || error.message === 'resumed' ? m.ended_replaced() : m.ended_left();
}

/** Why a server that is back does not take a call up again, what to do about it, and what becomes of the call: whether it goes on directly. */
export function refusedBack(error: AlthingError, direct: boolean): string {
  const say = direct ? m.refused_direct : m.refused_waiting;
  switch (error.code) {
    case 'token_missing':
      return say({ reason: m.refused_token_missing() });
    case 'token_invalid':
    case 'token_expired':
    case 'token_wrong_room':
      return say({ reason: m.refused_token() });
    case 'locked':
      return say({ reason: m.refused_locked() });
    default:
      return say({ reason: joinProblem(error) });
  }
}

/** Why no way to the server's media was found, and what to do about it. */
export function unreached({ code, addresses, udp, tcp }: Unreached): string {
  const list = addresses.join(', ');
  if (code === 'announced_loopback') return m.unreached_loopback({ addresses: list });
  if (code === 'announced_private') return m.unreached_private({ addresses: list });
  const ports = [udp.length ? m.unreached_udp({ ports: udp.join(', ') }) : '', tcp.length ? m.unreached_tcp({ ports: tcp.join(', ') }) : ''];
  return m.unreached_ports({ ports: ports.filter(Boolean).join(', ') });
}

/** What has become of a call; `answered`: it rang at this end, which has answered. */
export function callResult({ name, reason, incoming, talked }: Pick<Over, 'name' | 'reason' | 'incoming' | 'talked'>, answered = false): string {
  if (talked) return reason === 'hung_up' ? m.call_ended({ name }) : m.call_gone({ name });
  // Who has answered has missed nothing: the answer came too late, or a server that was started anew knew nothing of the call.
  if (incoming && answered && reason !== 'elsewhere') return m.call_too_late({ name });
  if (incoming) return reason === 'elsewhere' ? m.call_elsewhere() : m.call_missed({ name });
  switch (reason) {
    case 'rejected':
      return m.call_rejected({ name });
    case 'busy':
      return m.call_busy({ name });
    case 'timed_out':
      return m.call_unanswered({ name });
    case 'hung_up':
      return m.call_ended({ name });
    default:
      return m.call_gone({ name });
  }
}

/** Why somebody could not be called. */
export function callProblem(error: AlthingError, name: string): string {
  switch (error.code) {
    case 'busy':
      return m.call_busy({ name });
    case 'not_found':
      return m.call_gone({ name });
    case 'rate_limited':
      return m.call_too_often();
    default:
      return joinProblem(error);
  }
}

/** Why a picture is not as good as it could be; nothing when it is, or when it is only shown small. */
export function qualityHint({ level, limit }: TrackQuality, name: string): string | undefined {
  const paused = level === 'paused';
  switch (level === 'high' ? undefined : limit) {
    case 'bandwidth':
      return paused ? m.paused_bandwidth() : m.low_bandwidth();
    case 'publisher':
      return paused ? m.paused_publisher({ name }) : m.low_publisher({ name });
    case 'codec':
      return m.no_codec();
    case 'view':
    case undefined:
      return undefined;
  }
}

/** How good a connection is, and why it is not better. */
export function connectionText({ bars, reason }: Judgement): string {
  const grades = [m.connection_gone, m.connection_bad, m.connection_weak, m.connection_fair, m.connection_good] as const;
  const reasons = { away: undefined, loss: m.because_loss, delay: m.because_delay, frozen: m.because_frozen, nothing: m.because_nothing, bandwidth: m.because_bandwidth, publisher: m.because_publisher };
  const why = reason && reasons[reason];
  return why ? m.connection_because({ grade: grades[bars](), reason: why() }) : grades[bars]();
}

/** What is wrong with a device, and what to do about it. */
export function deviceHelp(kind: 'camera' | 'microphone', problem: DeviceProblem): { title: string; text: string } {
  const device = kind === 'camera' ? m.camera() : m.microphone();
  switch (problem) {
    case 'insecure':
      return { title: m.help_insecure_title(), text: m.help_insecure() };
    case 'denied':
      return { title: m.help_denied_title({ device }), text: m.help_denied() };
    case 'not_found':
      return { title: m.help_not_found_title({ device }), text: m.help_not_found() };
    case 'in_use':
      return { title: m.help_in_use_title({ device }), text: m.help_in_use() };
    default:
      return { title: m.help_failed_title({ device }), text: m.help_failed() };
  }
}

/** Why nothing is written of what the server records, or not all. */
export function recordingPause(why: RecordingPause): string {
  switch (why) {
    case 'disk_full':
      return m.recording_disk_full_there();
    case 'disk_failed':
      return m.recording_disk_failed_there();
    case 'disk_slow':
      return m.recording_disk_slow_there();
  }
}

import type { ConnectionStats, InboundStats, MemberId, MemberStats, OutboundStats, TrackInfo, TrackNumber, TrackQuality } from '@althing/sdk';

/** A look at the connection's counters. */
export interface Sample {
  /** When (ms). */
  at: number;
  stats: ConnectionStats & { members: MemberStats[] };
}

/** What is received on one line now. */
export interface LineFigures {
  kind: 'audio' | 'video';
  screen: boolean;
  codec: string;
  /** bit/s. */
  bitrate: number;
  /** Of the packets since the look before (0–1). */
  loss: number;
  /** Milliseconds. */
  jitter: number;
  width: number;
  height: number;
  fps: number;
  /** How often the picture stood still since the look before. */
  freezes: number;
}

/** What is sent of one encoding now. */
export interface SentFigures {
  kind: 'audio' | 'video';
  rid: string | undefined;
  codec: string;
  /** bit/s. */
  bitrate: number;
  width: number;
  height: number;
  fps: number;
  limitation: string | undefined;
}

/** The connection as it is now. */
export interface Figures {
  members: ReadonlyMap<MemberId, LineFigures[]>;
  sent: SentFigures[];
  /** Milliseconds. */
  roundTrip: number | undefined;
  /** Of what is sent (0–1). */
  sentLoss: number | undefined;
  /** bit/s, as the browser estimates it. */
  available: number | undefined;
  /** bit/s, both of all lines. */
  received: number;
  total: number;
  pair: ConnectionStats['pair'];
  cipher: string | undefined;
}

/** What has gone on between two looks. */
export function figuresOf(before: Sample | undefined, now: Sample): Figures {
  const seconds = before ? Math.max(0.001, (now.at - before.at) / 1000) : Infinity;
  const was = new Map(before?.stats.members.map((line) => [line.mid, line]));
  const members = new Map<MemberId, LineFigures[]>();
  for (const line of now.stats.members) {
    const known = was.get(line.mid);
    // Another one's line: what it has counted before is none of this member's.
    const earlier = known?.member === line.member && known.screen === line.screen ? known : line;
    members.set(line.member, [...(members.get(line.member) ?? []), lineOf(earlier, line, seconds)]);
  }
  const sentBefore = new Map(before?.stats.outbound.map((line) => [`${line.mid} ${line.rid}`, line]));
  const all = now.stats.outbound.map((line) => sentOf(sentBefore.get(`${line.mid} ${line.rid}`) ?? line, line, seconds));
  const inboundBefore = new Map(before?.stats.inbound.map((line) => [line.mid, line.bytesReceived]));
  const received = now.stats.inbound.reduce((sum, line) => sum + bits(inboundBefore.get(line.mid) ?? line.bytesReceived, line.bytesReceived, seconds), 0);
  const roundTrips = [now.stats.transport?.roundTripTime, ...now.stats.outbound.map((line) => line.roundTripTime)].filter((value) => value !== undefined);
  const losses = now.stats.outbound.map((line) => line.fractionLost).filter((value) => value !== undefined);
  return {
    members,
    sent: all.filter((line) => line.bitrate > 0 || line.kind === 'audio'),
    roundTrip: roundTrips[0] === undefined ? undefined : roundTrips[0] * 1000,
    sentLoss: losses.length > 0 ? Math.max(...losses) : undefined,
    available: now.stats.transport?.availableOutgoingBitrate,
    received,
    total: all.reduce((sum, line) => sum + line.bitrate, 0),
    pair: now.stats.pair,
    cipher: now.stats.transport?.srtpCipher,
  };
}

function lineOf(before: InboundStats, now: MemberStats, seconds: number): LineFigures {
  const lost = Math.max(0, now.packetsLost - before.packetsLost);
  const came = Math.max(0, now.packetsReceived - before.packetsReceived);
  return {
    kind: now.kind,
    screen: now.screen,
    codec: codecName(now.codec),
    bitrate: bits(before.bytesReceived, now.bytesReceived, seconds),
    loss: lost + came > 0 ? lost / (lost + came) : 0,
    jitter: now.jitter * 1000,
    width: now.frameWidth,
    height: now.frameHeight,
    fps: now.framesPerSecond,
    freezes: Math.max(0, now.freezeCount - before.freezeCount),
  };
}

function sentOf(before: OutboundStats, now: OutboundStats, seconds: number): SentFigures {
  return {
    kind: now.kind,
    rid: now.rid,
    codec: codecName(now.codec),
    bitrate: bits(before.bytesSent, now.bytesSent, seconds),
    width: now.frameWidth,
    height: now.frameHeight,
    fps: now.framesPerSecond,
    limitation: now.limitation === 'none' ? undefined : now.limitation,
  };
}

/** Counters that have begun anew count from nothing. */
function bits(before: number, now: number, seconds: number): number {
  return (Math.max(0, now - before) * 8) / seconds;
}

function codecName(mime: string | undefined): string {
  return mime?.split('/')[1] ?? '';
}

/** Why a connection is not as good as it could be. */
export type Reason = 'away' | 'loss' | 'delay' | 'frozen' | 'nothing' | 'bandwidth' | 'publisher';

/** How good a connection is: four bars are good, none is gone. */
export interface Judgement {
  bars: 0 | 1 | 2 | 3 | 4;
  reason: Reason | undefined;
}

const GOOD: Judgement = { bars: 4, reason: undefined };

/** Members of whose cameras nothing has come between two looks. Screens may stand still, and sound may be silence that nobody sends. */
export function stalled(earlier: Sample | undefined, now: Sample): ReadonlySet<MemberId> {
  const cameras = (sample: Sample | undefined) => (sample?.stats.members ?? []).filter((line) => line.kind === 'video' && !line.screen);
  const was = new Map(cameras(earlier).map((line) => [`${line.mid} ${line.member}`, line.packetsReceived]));
  return new Set(cameras(now).filter((line) => was.get(`${line.mid} ${line.member}`) === line.packetsReceived).map((line) => line.member));
}

/** Whether a member's camera is to be seen here. */
export function showsCamera(tracks: readonly TrackInfo[], quality: ReadonlyMap<TrackNumber, TrackQuality>): boolean {
  return tracks.some(({ source, track, muted, muted_by_moderator }) => source === 'camera' && !muted && !muted_by_moderator && quality.get(track)?.level !== 'paused');
}

/** What is received of a member: the worst of what is known. `nothing`: nothing comes of a picture that is to be seen. */
export function judge(lines: readonly LineFigures[], qualities: readonly TrackQuality[], away: boolean, roundTrip: number | undefined, nothing = false): Judgement {
  if (away) return { bars: 0, reason: 'away' };
  if (nothing) return { bars: 1, reason: 'nothing' };
  const loss = Math.max(0, ...lines.map((line) => line.loss));
  const freezes = Math.max(0, ...lines.map((line) => line.freezes));
  return worst([
    byLoss(loss),
    byDelay(roundTrip),
    freezes > 1 ? { bars: 2, reason: 'frozen' } : GOOD,
    ...qualities.map(byQuality),
  ]);
}

/** What is sent. */
export function judgeOwn({ sentLoss, roundTrip, sent }: Pick<Figures, 'sentLoss' | 'roundTrip' | 'sent'>): Judgement {
  const limited = sent.some((line) => line.limitation === 'bandwidth');
  return worst([byLoss(sentLoss ?? 0), byDelay(roundTrip), limited ? { bars: 3, reason: 'bandwidth' } : GOOD]);
}

function worst(all: readonly Judgement[]): Judgement {
  return all.reduce((least, other) => (other.bars < least.bars ? other : least), GOOD);
}

/** One in fifty is made good by retransmission, one in five by nothing. */
function byLoss(loss: number): Judgement {
  if (loss < 0.02) return GOOD;
  return { bars: loss < 0.06 ? 3 : loss < 0.18 ? 2 : 1, reason: 'loss' };
}

/** From 150 ms one way people begin to interrupt each other (ITU-T G.114). */
function byDelay(roundTrip = 0): Judgement {
  if (roundTrip < 300) return GOOD;
  return { bars: roundTrip < 600 ? 3 : 2, reason: 'delay' };
}

function byQuality({ level, limit }: TrackQuality): Judgement {
  if (limit !== 'bandwidth' && limit !== 'publisher') return GOOD;
  return { bars: level === 'paused' ? 1 : level === 'low' ? 2 : 3, reason: limit };
}

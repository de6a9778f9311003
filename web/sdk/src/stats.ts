import type { CandidateType, DirectProtocol, MemberId } from './wire.ts';

/** What is received on one m-line. Counters are cumulative over the connection's life. */
export interface InboundStats {
  mid: string;
  kind: 'audio' | 'video';
  codec: string | undefined;
  packetsReceived: number;
  packetsLost: number;
  bytesReceived: number;
  /** Seconds. */
  jitter: number;
  nackCount: number;
  pliCount: number;
  framesDecoded: number;
  framesPerSecond: number;
  frameWidth: number;
  frameHeight: number;
  freezeCount: number;
  /** Energy of the sound, as RTCInboundRtpStreamStats counts it. */
  totalAudioEnergy: number;
  concealedSamples: number;
  totalSamplesReceived: number;
}

/** What is sent of one encoding on one m-line. */
export interface OutboundStats {
  mid: string;
  kind: 'audio' | 'video';
  /** Which encoding it is, where there are several. */
  rid: string | undefined;
  codec: string | undefined;
  /** Whether the encoding is switched on. */
  active: boolean;
  packetsSent: number;
  bytesSent: number;
  retransmittedPacketsSent: number;
  framesEncoded: number;
  framesPerSecond: number;
  frameWidth: number;
  frameHeight: number;
  /** bit/s. */
  targetBitrate: number;
  /** What keeps the browser from sending a better picture. */
  limitation: string | undefined;
  /** Seconds, as the receiver's reports say. */
  roundTripTime: number | undefined;
  /** Of the packets since the report before, as the receiver says. */
  fractionLost: number | undefined;
}

/** The connection under it all. */
export interface TransportStats {
  dtlsState: string | undefined;
  dtlsCipher: string | undefined;
  srtpCipher: string | undefined;
  /** Seconds. */
  roundTripTime: number | undefined;
  /** bit/s, as the browser estimates it. */
  availableOutgoingBitrate: number | undefined;
}

export interface ConnectionStats {
  pair: SelectedPair | undefined;
  transport: TransportStats | undefined;
  inbound: InboundStats[];
  outbound: OutboundStats[];
}

/** What is received of a member, m-line by m-line. */
export interface MemberStats extends InboundStats {
  member: MemberId;
  screen: boolean;
}

type Entry = Record<string, unknown> & { id: string; type: string };

/** The figures of a report that a call needs, by m-line. */
export function digest(report: Iterable<[string, unknown]>): ConnectionStats {
  const entries = new Map([...report].map(([id, entry]) => [id, entry as Entry]));
  const stats: ConnectionStats = { pair: selectedPair(entries), transport: undefined, inbound: [], outbound: [] };
  const codecOf = (entry: Entry) => optionalText(entries.get(text(entry, 'codecId'))?.['mimeType']);
  for (const entry of entries.values()) {
    if (entry.type === 'inbound-rtp') stats.inbound.push(inbound(entry, codecOf(entry)));
    else if (entry.type === 'outbound-rtp') stats.outbound.push(outbound(entry, codecOf(entry), entries.get(text(entry, 'remoteId'))));
    else if (entry.type === 'transport') stats.transport = transport(entry, entries.get(text(entry, 'selectedCandidatePairId')));
  }
  return stats;
}

/** The pair of candidates that a connection uses. */
export interface SelectedPair {
  local: CandidateType;
  remote: CandidateType;
  /** What carries the media: to the relay, where the own candidate is one. */
  protocol: DirectProtocol;
}

/** The pair that a report names as the selected one. Firefox has no `transport` that says so. */
export function selectedPair(report: Iterable<[string, unknown]>): SelectedPair | undefined {
  const entries = new Map([...report].map(([id, entry]) => [id, entry as Entry]));
  const all = [...entries.values()];
  const named = all.find(({ type }) => type === 'transport')?.['selectedCandidatePairId'];
  const pair = entries.get(optionalText(named) ?? '') ?? all.find((entry) => entry.type === 'candidate-pair' && (entry['selected'] === true || (entry['nominated'] === true && entry['state'] === 'succeeded')));
  const [local, remote] = [entries.get(pair ? text(pair, 'localCandidateId') : ''), entries.get(pair ? text(pair, 'remoteCandidateId') : '')];
  if (!local || !remote) return undefined;
  const protocol = (text(local, 'relayProtocol') || text(local, 'protocol')).toLowerCase();
  return { local: candidateType(local), remote: candidateType(remote), protocol: protocol === 'tcp' || protocol === 'tls' ? protocol : 'udp' };
}

/** A report is kept for a moment: one that was asked for just before a change is given again just after it (Chromium: 50 ms). */
const STALE = 200;

/** Has somebody look whenever a connection uses another pair (`isNew`), and once more when reports surely say so. */
export function followPair(ice: Pick<RTCIceTransport, 'onselectedcandidatepairchange'> | undefined, look: (isNew: boolean) => void): void {
  if (!ice || ice.onselectedcandidatepairchange) return;
  ice.onselectedcandidatepairchange = () => {
    look(true);
    setTimeout(() => look(false), STALE);
  };
}

function candidateType(entry: Entry): CandidateType {
  const type = text(entry, 'candidateType');
  return type === 'srflx' || type === 'prflx' || type === 'relay' ? type : 'host';
}

function inbound(entry: Entry, codec: string | undefined): InboundStats {
  return {
    mid: text(entry, 'mid'),
    kind: kind(entry),
    codec,
    packetsReceived: number(entry, 'packetsReceived'),
    packetsLost: number(entry, 'packetsLost'),
    bytesReceived: number(entry, 'bytesReceived'),
    jitter: number(entry, 'jitter'),
    nackCount: number(entry, 'nackCount'),
    pliCount: number(entry, 'pliCount'),
    framesDecoded: number(entry, 'framesDecoded'),
    framesPerSecond: number(entry, 'framesPerSecond'),
    frameWidth: number(entry, 'frameWidth'),
    frameHeight: number(entry, 'frameHeight'),
    freezeCount: number(entry, 'freezeCount'),
    totalAudioEnergy: number(entry, 'totalAudioEnergy'),
    concealedSamples: number(entry, 'concealedSamples'),
    totalSamplesReceived: number(entry, 'totalSamplesReceived'),
  };
}

function outbound(entry: Entry, codec: string | undefined, remote: Entry | undefined): OutboundStats {
  return {
    mid: text(entry, 'mid'),
    kind: kind(entry),
    rid: optionalText(entry['rid']),
    codec,
    active: entry['active'] !== false,
    packetsSent: number(entry, 'packetsSent'),
    bytesSent: number(entry, 'bytesSent'),
    retransmittedPacketsSent: number(entry, 'retransmittedPacketsSent'),
    framesEncoded: number(entry, 'framesEncoded'),
    framesPerSecond: number(entry, 'framesPerSecond'),
    frameWidth: number(entry, 'frameWidth'),
    frameHeight: number(entry, 'frameHeight'),
    targetBitrate: number(entry, 'targetBitrate'),
    limitation: optionalText(entry['qualityLimitationReason']),
    roundTripTime: optionalNumber(remote?.['roundTripTime']),
    fractionLost: optionalNumber(remote?.['fractionLost']),
  };
}

function transport(entry: Entry, pair: Entry | undefined): TransportStats {
  return {
    dtlsState: optionalText(entry['dtlsState']),
    dtlsCipher: optionalText(entry['dtlsCipher']),
    srtpCipher: optionalText(entry['srtpCipher']),
    roundTripTime: optionalNumber(pair?.['currentRoundTripTime']),
    availableOutgoingBitrate: optionalNumber(pair?.['availableOutgoingBitrate']),
  };
}

function kind(entry: Entry): 'audio' | 'video' {
  return entry['kind'] === 'audio' ? 'audio' : 'video';
}

function number(entry: Entry, key: string): number {
  return optionalNumber(entry[key]) ?? 0;
}

function text(entry: Entry, key: string): string {
  return optionalText(entry[key]) ?? '';
}

function optionalNumber(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

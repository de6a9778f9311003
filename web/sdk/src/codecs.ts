import type { VideoCodec } from './wire.ts';

const VIDEO_CODECS: readonly VideoCodec[] = ['vp8', 'vp9', 'h264', 'av1'];

/**
 * The video codecs to receive: one form of each of these, and retransmission. A browser lists some twenty variants, and
 * each costs half a kilobyte of offer per m-line; the server forwards whichever of these the sender chose.
 */
export function receivableVideo(all: readonly RTCRtpCodec[], names = VIDEO_CODECS): RTCRtpCodec[] {
  const forms = names.map((name) => formOf(name, all)).filter((codec) => codec !== undefined);
  return forms.length > 0 ? [...forms, ...named('rtx', all).slice(0, 1)] : [];
}

/** The first of these codecs that can be sent. */
export function sendable(names: readonly VideoCodec[], all: readonly RTCRtpCodec[]): VideoCodec | undefined {
  return names.find((name) => formOf(name, all) !== undefined);
}

/** All that can be sent, with this codec before the others; they remain for a server that does not take it. */
export function preferring(name: VideoCodec, all: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  const first = formOf(name, all);
  return first ? [first, ...all.filter((codec) => codec !== first)] : [...all];
}

/** The form of a codec that every browser decodes. */
function formOf(name: VideoCodec, all: readonly RTCRtpCodec[]): RTCRtpCodec | undefined {
  const forms = named(name, all);
  switch (name) {
    case 'vp8':
      return forms[0];
    case 'vp9':
      return forms.find((codec) => parameter(codec, 'profile-id', '0') === '0');
    case 'h264':
      return forms.find(isConstrainedBaseline);
    case 'av1':
      return forms.find((codec) => parameter(codec, 'profile', '0') === '0');
  }
}

function named(name: string, all: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  return all.filter((codec) => codec.mimeType.toLowerCase() === `video/${name}`);
}

/** RFC 6184 section 8.1: profile_idc 0x42 with constraint_set1, and packets that may hold several units. */
function isConstrainedBaseline(codec: RTCRtpCodec): boolean {
  const profile = parameter(codec, 'profile-level-id', '42000a').toLowerCase();
  const constraints = Number.parseInt(profile.slice(2, 4), 16);
  return profile.startsWith('42') && (constraints & 0x40) !== 0 && parameter(codec, 'packetization-mode', '0') === '1';
}

function parameter(codec: RTCRtpCodec, name: string, otherwise: string): string {
  for (const part of (codec.sdpFmtpLine ?? '').split(';')) {
    const [key, value] = part.split('=');
    if (key?.trim().toLowerCase() === name) return value?.trim() ?? otherwise;
  }
  return otherwise;
}

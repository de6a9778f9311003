/**
 * The video codecs to receive: one form of each, and retransmission. A browser lists some twenty variants, and
 * each costs half a kilobyte of offer per m-line; the server forwards whichever of these the sender chose.
 */
export function receivableVideo(all: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  const named = (name: string) => all.filter((codec) => codec.mimeType.toLowerCase() === `video/${name}`);
  return [
    named('vp8')[0],
    named('vp9').find((codec) => parameter(codec, 'profile-id', '0') === '0'),
    named('h264').find(isConstrainedBaseline),
    named('av1').find((codec) => parameter(codec, 'profile', '0') === '0'),
    ...named('rtx').slice(0, 1),
  ].filter((codec) => codec !== undefined);
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

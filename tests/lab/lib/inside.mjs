// What runs inside of a page in the lab. Nothing closes over anything.

/**
 * Begins to note each frame that is shown of a tile: when (ms since the epoch) and how many lines it has. Also finds the connection,
 * which the page keeps to itself.
 * @param {{ member: string }} tile
 */
export async function watch({ member }) {
  const own = /** @type {any} */ (window);
  const getStats = RTCPeerConnection.prototype.getStats;
  RTCPeerConnection.prototype.getStats = function (/** @type {any[]} */ ...args) {
    own.connection = this;
    return getStats.apply(this, /** @type {any} */ (args));
  };
  await own.althing.stats();
  RTCPeerConnection.prototype.getStats = getStats;

  /** @type {[number, number][]} */
  const frames = (own.frames = []);
  let video = /** @type {HTMLVideoElement | null} */ (null);
  // A tile's element may be another after a change of layout.
  const follow = () => {
    const found = /** @type {HTMLVideoElement | null} */ (document.querySelector(`[data-testid=tile][data-member="${member}"][data-kind=camera] video`));
    if (!found || found === video) return;
    video = found;
    const frame = (/** @type {number} */ now, /** @type {VideoFrameCallbackMetadata} */ { height }) => {
      if (own.frames !== frames) return;
      frames.push([performance.timeOrigin + now, height]);
      if (found === video) found.requestVideoFrameCallback(frame);
    };
    found.requestVideoFrameCallback(frame);
  };
  follow();
  clearInterval(own.following);
  own.following = setInterval(follow, 200);
}

/** The frames noted so far. */
export function noted() {
  return /** @type {[number, number][]} */ (/** @type {any} */ (window).frames);
}

/**
 * What the browser counts of the line on which a member's picture arrives, as it comes from getStats.
 * @param {{ member: string }} tile
 */
export async function counted({ member }) {
  const own = /** @type {any} */ (window);
  const { members } = await own.althing.stats();
  const line = members.find((/** @type {any} */ found) => found.member === member && found.kind === 'video' && !found.screen);
  const report = [...(await own.connection.getStats()).values()];
  const inbound = report.find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video' && entry.mid === line?.mid);
  return {
    at: Date.now(),
    codec: line?.codec,
    lines: inbound?.frameHeight ?? 0,
    decoded: inbound?.framesDecoded ?? 0,
    dropped: inbound?.framesDropped ?? 0,
    keyFrames: inbound?.keyFramesDecoded ?? 0,
    freezes: inbound?.freezeCount,
    // Chromium calls it a pause, and no freeze, when it lasts for more than five seconds. To who watches it is the same.
    frozen: inbound?.totalFreezesDuration === undefined ? undefined : inbound.totalFreezesDuration + (inbound.totalPausesDuration ?? 0),
    packets: inbound?.packetsReceived ?? 0,
    bytes: inbound?.bytesReceived ?? 0,
    lost: inbound?.packetsLost ?? 0,
    nacks: inbound?.nackCount ?? 0,
    plis: inbound?.pliCount ?? 0,
    repaired: inbound?.retransmittedPacketsReceived,
  };
}

// Tells when a sound begins: an AudioWorklet that posts the context's time of the first loud sample after a silence.

/** As loud as that is a beep; what a codec does to silence is far below. */
const LOUD = 0.1;
/** Silence of so many seconds parts two beeps. */
const GAP = 0.3;

class Onset extends AudioWorkletProcessor {
  constructor() {
    super();
    this.loudAt = -Infinity;
  }

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    for (let i = 0; i < samples.length; i++) {
      if (Math.abs(samples[i]) < LOUD) continue;
      const at = currentTime + i / sampleRate;
      if (at - this.loudAt > GAP) this.port.postMessage(at);
      this.loudAt = at;
    }
    return true;
  }
}

registerProcessor('onset', Onset);

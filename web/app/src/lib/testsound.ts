/** The notes of the test sound (Hz), and how long each is (s). */
const NOTES = [523, 659, 784];
const LENGTH = 0.25;

/** Sounds three notes on a device, or on the system's: whoever hears them hears the others. */
export async function testSound(device: string): Promise<void> {
  const context = new AudioContext();
  const element = new Audio();
  try {
    const [end, gain] = [context.createMediaStreamDestination(), new GainNode(context, { gain: 0.2 })];
    gain.connect(end);
    element.srcObject = end.stream;
    if (device) await element.setSinkId?.(device);
    await Promise.all([context.resume(), element.play()]);
    NOTES.forEach((frequency, place) => {
      const note = new OscillatorNode(context, { frequency });
      note.connect(gain);
      note.start(context.currentTime + place * LENGTH);
      note.stop(context.currentTime + (place + 1) * LENGTH);
    });
    await new Promise((resolve) => setTimeout(resolve, (NOTES.length * LENGTH + 0.2) * 1000));
  } finally {
    element.srcObject = null;
    await context.close();
  }
}

import { expect, test } from 'vitest';
import { encodingsFor } from '../src/encodings.ts';
import type { VideoSource } from '../src/encodings.ts';
import { SenderControl } from '../src/sender.ts';
import { picture, Sender } from './connection.ts';

function start(source: VideoSource = 'camera', absolute = true) {
  const sender = new Sender(picture(), encodingsFor(source, { width: 1280, height: 720 }, absolute));
  return { sender, control: new SenderControl(sender as unknown as RTCRtpSender, source) };
}

test('what is as it should be is not set', async () => {
  const { sender, control } = start();
  await control.apply();
  expect(sender.changes).toEqual([]);
});

test('encodings that nobody wants are switched off, and on again when they are named', async () => {
  const { sender, control } = start();
  control.demand(['q']);
  await expect.poll(() => sender.active).toEqual(['q']);
  control.demand(['q', 'f']);
  await expect.poll(() => sender.active).toEqual(['q', 'f']);
  control.demand([]);
  await expect.poll(() => sender.active).toEqual([]);
  control.demand(undefined);
  await expect.poll(() => sender.active).toEqual(['q', 'h', 'f']);
});

test('what rests encodes nothing, whatever is wanted, and goes on with what is', async () => {
  const { sender, control } = start();
  control.rest(true);
  control.demand(['q', 'h', 'f']);
  await expect.poll(() => sender.active).toEqual([]);
  control.demand(['q']);
  control.rest(false);
  await expect.poll(() => sender.active).toEqual(['q']);
});

test('one change follows another, and only the last of those that wait is made', async () => {
  const { sender, control } = start();
  for (const rids of [['q'], ['h'], [], ['q', 'h', 'f'], ['h', 'f']]) control.demand(rids);
  await expect.poll(() => sender.changes).toEqual(['q', 'h f']);
  expect(sender.atOnce).toBe(1);
});

test('what the browser refuses is no error, and is tried again the next time', async () => {
  const { sender, control } = start();
  sender.refusal = new DOMException('not now', 'InvalidStateError');
  control.demand(['q']);
  await control.apply();
  await expect.poll(() => sender.atOnce).toBe(1);
  expect(sender.active).toEqual(['q', 'h', 'f']);
  sender.refusal = undefined;
  await expect.poll(async () => (await control.apply(), sender.active)).toEqual(['q']);
});

test('a sender that is gone is no error', async () => {
  const { sender, control } = start();
  sender.getParameters = () => {
    throw new DOMException('closed', 'InvalidStateError');
  };
  control.demand([]);
  await control.apply();
});

test.each([true, false])('another capture is sent in sizes of its own (in pixels: %s)', async (absolute) => {
  const { sender, control } = start('camera', absolute);
  await sender.replaceTrack(picture(640, 360));
  await control.apply();
  expect(sender.encodings).toMatchObject(encodingsFor('camera', { width: 640, height: 360 }, true).map(({ rid, maxBitrate }) => ({ rid, maxBitrate })));
  const scales = sender.encodings.map(({ scaleResolutionDownTo: to, scaleResolutionDownBy: by }) => (to ? to.maxHeight : by));
  expect(scales).toEqual(absolute ? [90, 180, 16384] : [4, 2, 1]);
  expect(sender.changes.length).toBe(1);
});

test('while there is no track, what was known of it is kept', async () => {
  const { sender, control } = start();
  await sender.replaceTrack(picture(640, 360));
  await control.apply();
  const before = sender.encodings;
  await sender.replaceTrack(null);
  await control.apply();
  expect(sender.encodings).toBe(before);
});

test('what an answer has left of several encodings is the whole picture, and is always sent', async () => {
  const { sender, control } = start('camera', false);
  sender.encodings = sender.encodings.slice(0, 1);
  control.demand([]);
  await control.apply();
  await expect.poll(() => sender.encodings[0]).toMatchObject({ rid: 'q', active: true, scaleResolutionDownBy: 1, maxBitrate: 1_700_000 });
});

test('a shared screen stays legible: that is asked for once, also of a browser that knows it not', async () => {
  const { sender, control } = start('screen');
  await control.apply();
  expect(sender.degradationPreference).toBe('maintain-resolution');
  sender.degradationPreference = undefined;
  await control.apply();
  expect(sender.changes.length).toBe(1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

for (const name of ['VP8', 'VP9', 'H264', 'AV1']) {
  test(`${name} passes through: it is what the viewer decodes`, async () => {
    const [ada, ben] = await meet(`video/${name}`);
    const line = await until("Ben's browser says how it decodes Ada", () => ben.line('Ada', 'video'));
    assert.equal(line.codec, `video/${name}`);
    await part(ada, ben);
  });
}

test('RED passes through: every packet carries the one before it as well', async () => {
  const [ada, ben] = await meet('audio/red');
  // Browsers call RED by the name of what is in it; its packets tell: Opus at 32 kbit/s has 80 bytes every 20 ms.
  await until('packets with two frames arrive', async () => {
    const { bytes = 0, packets = 0 } = (await ben.line('Ada', 'audio')) ?? {};
    return packets > 50 && bytes / packets > 130;
  });
  await part(ada, ben);
});

/** @param {string} prefer what Ada sends */
async function meet(prefer) {
  const ada = await stage.person('Ada', { prefer });
  const ben = await stage.person('Ben');
  const room = prefer.replace('/', '-');
  await ada.join(stage.url, room);
  await ben.join(stage.url, room);
  await ben.sees('Ada');
  await ben.hears('Ada');
  return [ada, ben];
}

/** @param {import('../lib/person.mjs').Person[]} people */
async function part(...people) {
  for (const person of people) {
    await person.isWell();
    await stage.dismiss(person);
  }
}

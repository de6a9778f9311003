import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

test('what is said is read by everyone in the same order, also by who comes late', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'chat');
  await ben.join(stage.url, 'chat');
  await ada.idOf('Ben');

  await ada.says('Hello');
  await ben.tab.appears('[data-testid=unread]');
  await ben.says('你好 <b>bold</b>');
  await until('Ada reads the answer', async () => (await ada.chat()).length === 2);
  await ada.says('Bye');

  const wanted = ['Ada: Hello', 'Ben: 你好 <b>bold</b>', 'Ada: Bye'];
  for (const person of [ada, ben]) {
    await until(`${person.name} has read it all`, async () => (await person.chat()).length === 3);
    assert.deepEqual(await person.chat(), wanted);
  }
  const shown = () => ben.tab.evaluate(() => [...document.querySelectorAll('[data-testid=chat-message] p:last-child')].map((line) => line.textContent));
  await until('all lines are on the screen', async () => (await shown()).length >= 3);
  assert.deepEqual(await shown(), ['Hello', '你好 <b>bold</b>', 'Bye']);
  assert.equal(await ben.tab.evaluate(() => document.querySelector('[data-testid=unread]')), null, 'what is open is not unread');

  const cleo = await stage.person('Cleo');
  await cleo.join(stage.url, 'chat');
  assert.deepEqual(await cleo.chat(), wanted);

  await ada.tab.fill('[data-testid=chat-input]', '长'.repeat(1400));
  await ada.tab.appears('[data-testid=chat-too-long]');
  await ada.tab.fill('[data-testid=chat-input]', '长'.repeat(1300));
  await until('what is short enough is no longer complained of', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=chat-too-long]')));
  for (const person of [ada, ben, cleo]) await person.isWell();
});

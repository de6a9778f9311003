import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const server = scene();
const direct = scene({ ALTHING_ROOMS__POLICY: 'auto' });

/** Chooses a file of so many bytes, as a person does in the browser's dialog. */
const offer = (/** @type {Person} */ person, /** @type {number} */ length) =>
  person.tab.evaluate((length) => {
    const input = /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=file-input]'));
    const chosen = new DataTransfer();
    chosen.items.add(new File([Uint8Array.from({ length }, (_, at) => (at * 7) & 0xff)], 'plan.pdf'));
    input.files = chosen.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
  }, length);
const state = (/** @type {Person} */ person) => person.tab.evaluate(() => [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-testid=file]'))].map((card) => card.dataset['state']).join());

/** @type {[string, typeof server, 'direct' | 'server'][]} */
const ways = [
  ['by way of the server', server, 'server'],
  ['in a direct call', direct, 'direct'],
];
for (const [title, stage, via] of ways) {
  test(`a file is offered in the chat, taken or not, and arrives whole, ${title}`, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
    for (const person of [ada, ben]) await person.join(stage.url, 'files');
    await ada.travels(via);
    await ada.tab.press('c');
    await ada.tab.appears('[data-testid=file-choose]');
    await offer(ada, 300_000);
    await ben.tab.appears('[data-testid=unread]');
    await ben.tab.press('c');
    await ben.tab.appears('[data-testid=file][data-state=offered]');
    assert.equal(await ben.tab.evaluate(() => document.querySelector('[data-testid=file-name]')?.textContent), 'plan.pdf');
    await ben.tab.evaluate(() => {
      const own = /** @type {any} */ (window);
      const make = URL.createObjectURL;
      URL.createObjectURL = (/** @type {any} */ blob) => make(own.saved = blob);
    });
    await ben.tab.click('[data-testid=file-accept]');
    await until('it has arrived', async () => (await state(ben)) === 'done' && (await state(ada)) === 'done', 30_000);
    await ben.tab.click('[data-testid=file-save]');
    await until('it is saved', () => ben.tab.evaluate(() => /** @type {any} */ (window).saved !== undefined));
    const wrong = await ben.tab.evaluate(async () => {
      const saved = /** @type {any} */ (window).saved;
      const bytes = new Uint8Array(await saved.arrayBuffer());
      return `${bytes.length} ${saved.type} ${bytes.findIndex((byte, at) => byte !== ((at * 7) & 0xff))}`;
    });
    assert.equal(wrong, '300000 application/octet-stream -1');

    await offer(ada, 1000);
    await until('another one is offered', async () => (await state(ben)) === 'done,offered');
    await ben.tab.click('[data-testid=file-decline]');
    await until('it is not taken', async () => (await state(ben)) === 'done,declined');
    await sleep(500);
    assert.equal(await state(ada), 'done,offered', 'others may still take it');
    await ada.sees('Ben');
    await ben.sees('Ada');
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}

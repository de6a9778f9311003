import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { faults } from '../lib/accessible.mjs';
import { furnish } from '../lib/meeting.mjs';
import { isWell, openReader, picture } from '../lib/player.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-library-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const ids = furnish(folder, { room: 'hall' });
const stage = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });

/** @param {string} id @param {string} part */
const within = (id, part) => `[data-testid=library-item][data-id="${id}"] [data-testid=${part}]`;

for (const look of /** @type {const} */ ([
  { name: 'light', dark: false, width: 1280, height: 800 },
  { name: 'dark phone', dark: true, width: 390, height: 740, locale: 'zh-CN' },
])) {
  test(`pages of the library are for everybody: ${look.name}`, async () => {
    const tab = await openReader(look);
    try {
      const fits = () => tab.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
      /** @type {[string, string, (() => Promise<void>)?][]} */
      const pages = [
        ['/library', '[data-testid=library-rooms]'],
        ['/library/hall', '[data-testid=library-item]'],
        ['/library/empty', '[data-testid=library-empty]'],
        ['/library/hall', within(ids.meeting, 'item-delete'), () => tab.click(within(ids.meeting, 'item-delete'))],
        ['/library/hall', within(ids.meeting, 'item-share'), () => tab.click(within(ids.meeting, 'item-share'))],
        [`/library/hall/${ids.meeting}`, '[data-testid=player]'],
        [`/library/hall/${ids.meeting}`, '[data-testid=player-downloads]', () => tab.click('[data-testid=player-downloads]')],
        [`/library/hall/${ids.meeting}`, '[data-testid=player-chat]', () => tab.click('[data-testid=player-chat]')],
        [`/library/hall/${ids.screenshot}`, '[data-testid=picture]'],
        ['/library/hall/none', '[data-testid=item-problem]'],
      ];
      for (const [index, [path, shows, act]] of pages.entries()) {
        await tab.goto(`${stage.url}${path}`);
        await tab.appears(shows);
        await act?.();
        await sleep(400);
        await picture(tab, `library-${look.name.replace(' ', '-')}-${index}`);
        assert.ok(await fits(), `${path} fits`);
        assert.deepEqual(await faults(tab), [], path);
      }
      await isWell(tab);
    } finally {
      await tab.close();
    }
  });
}

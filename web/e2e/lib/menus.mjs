// Menus of the page.

/** @typedef {import('./person.mjs').Person} Person */

/**
 * Chooses something in the menu beside the call's controls.
 * @param {Person} person
 * @param {string} entry
 */
export async function choose(person, entry) {
  await person.tab.click('[data-testid=more]');
  await person.tab.appears(`[data-testid=${entry}]`);
  await person.tab.click(`[data-testid=${entry}]`);
}

/**
 * Chooses something in a tile's menu.
 * @param {Person} person
 * @param {string} member
 * @param {string} entry
 */
export async function chooseAt(person, member, entry) {
  const tile = `[data-testid=tile][data-member="${member}"][data-kind=camera]`;
  await person.tab.evaluate((selector) => /** @type {HTMLElement} */ (document.querySelector(`${selector} [data-testid=tile-more]`)).focus(), tile);
  await person.tab.press('Enter');
  await person.tab.appears(`${tile} [data-testid=${entry}]`);
  await person.tab.click(`${tile} [data-testid=${entry}]`);
}

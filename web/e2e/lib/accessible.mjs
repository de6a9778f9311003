// What axe finds wrong with a page, for people who do not see, hear or point as others do.
import axe from 'axe-core';

/** To be run in a page before its own scripts: its policy lets nothing in later. @returns {(argument: unknown) => void} */
export function withAxe(/** @type {(argument: any) => void} */ prepare) {
  return /** @type {any} */ (new Function('argument', `(${prepare.toString()})(argument);\nif (window === top) addEventListener('DOMContentLoaded', () => {\n${axe.source}\n});`));
}

/**
 * The violations of WCAG 2.2 AA that are serious or worse.
 * @param {import('./browsers.mjs').Tab} tab
 * @returns {Promise<string[]>}
 */
export function faults(tab) {
  return tab.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
    const serious = violations.filter((/** @type {any} */ found) => ['serious', 'critical'].includes(found.impact));
    return serious.flatMap((/** @type {any} */ found) => found.nodes.map((/** @type {any} */ node) => `${found.id}: ${node.html.slice(0, 160)} ${node.failureSummary?.split('\n').slice(1, 3).join(' ')}`));
  });
}

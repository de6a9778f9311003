import { locales, overwriteGetLocale } from '../paraglide/runtime.js';
import { preferences } from './preferences.ts';

export type Locale = (typeof locales)[number];

/** What each language calls itself. */
export const LANGUAGES: Record<Locale, string> = { en: 'English', 'zh-CN': '中文' };

let current = $state<Locale>(choose(preferences.read().locale, navigator.languages));

// Messages read this when they are drawn, so that a change of language redraws them.
overwriteGetLocale(() => current);
reflect();

/** The page's language. */
export function locale(): Locale {
  return current;
}

/** Changes the page's language, and remembers it. */
export function setLocale(wanted: Locale): void {
  current = wanted;
  preferences.write({ locale: wanted });
  reflect();
}

function reflect(): void {
  document.documentElement.lang = current;
}

/** The remembered language, else the first of the browser's that the page has (any Chinese counts as ours), else English. */
export function choose(remembered: string | undefined, wanted: readonly string[]): Locale {
  for (const tag of remembered ? [remembered, ...wanted] : wanted) {
    const exact = locales.find((known) => known.toLowerCase() === tag.toLowerCase());
    const near = exact ?? locales.find((known) => known.split('-')[0] === tag.toLowerCase().split('-')[0]);
    if (near) return near;
  }
  return 'en';
}

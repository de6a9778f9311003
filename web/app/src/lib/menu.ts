import type { IconName } from '../components/Icon.svelte';

/** What a menu offers. */
export interface MenuEntry {
  testid: string;
  icon: IconName;
  label: string;
  /** The key that does the same without the menu. */
  shortcut?: string | undefined;
  /** Whether it is on, for what is turned on and off. */
  checked?: boolean | undefined;
  disabled?: boolean | undefined;
  /** Why it is disabled, where that cannot be seen. */
  reason?: string | undefined;
  /** Begins a group. */
  apart?: boolean | undefined;
  act: () => unknown;
}

/** Where a key leads from an entry: the place of another one, undefined for keys that lead nowhere. Menus go round at their ends. */
export function nextEntry(key: string, at: number, labels: readonly string[]): number | undefined {
  const count = labels.length;
  if (count === 0) return undefined;
  switch (key) {
    case 'ArrowDown':
      return (at + 1) % count;
    case 'ArrowUp':
      return (Math.max(at, 0) + count - 1) % count;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return [...key].length === 1 && key.trim() ? beginningWith(key.toLocaleLowerCase(), at, labels) : undefined;
  }
}

/** The next one whose label begins with a letter. */
function beginningWith(letter: string, at: number, labels: readonly string[]): number | undefined {
  for (let step = 1; step <= labels.length; step++) {
    const place = (Math.max(at, -1) + step) % labels.length;
    if (labels[place]?.toLocaleLowerCase().startsWith(letter)) return place;
  }
  return undefined;
}

/** A rectangle of the page (CSS pixels). */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Where a menu stands beside its button: above it where there is room, else below, and never beyond the window's edges. */
export function beside(button: Box, menu: { width: number; height: number }, window: { width: number; height: number }, gap = 8): { left: number; top: number } {
  const above = button.top - gap - menu.height;
  const top = above >= gap ? above : Math.min(button.top + button.height + gap, window.height - gap - menu.height);
  const left = Math.min(button.left + button.width - menu.width, window.width - gap - menu.width);
  return { left: Math.max(gap, left), top: Math.max(gap, top) };
}

import type { LibraryItem, LibraryKind } from '@althing/sdk';
import { m } from '../paraglide/messages.js';
import { locale } from '../lib/locale.svelte.ts';
import { moment } from './format.ts';

export function kindName(kind: LibraryKind): string {
  switch (kind) {
    case 'recording':
      return m.library_recording();
    case 'screenshot':
      return m.library_screenshot();
    case 'audio':
      return m.library_audio();
    case 'video':
      return m.library_video();
  }
}

/** What an item is called: its title, else what it is and when it began. Without a title the server names the room, which says nothing among others of it. */
export function titleOf(item: Pick<LibraryItem, 'title' | 'room' | 'kind' | 'began'>): string {
  return item.title !== item.room && item.title ? item.title : m.library_untitled({ kind: kindName(item.kind), time: moment(item.began, locale()) });
}

/** What is said below the title: when it began, where the title does not say it, and who is in it. */
export function aboutOf(item: LibraryItem): string {
  const about = item.title && item.title !== item.room ? [moment(item.began, locale())] : [];
  return [...about, namesOf(item)].join(' · ');
}

/** Who is in it, in the reader's language. */
export function namesOf({ members, by }: Pick<LibraryItem, 'members' | 'by'>): string {
  const names = members.length > 0 ? members : [by];
  return new Intl.ListFormat(locale(), { style: 'short', type: 'conjunction' }).format(names.map(({ member, name }) => name || member).filter(Boolean));
}

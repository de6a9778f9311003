import { Library } from '@althing/sdk';
import { knownRooms, rememberRoom, tokenOf } from '../lib/rooms.ts';
import { accessOf } from './access.ts';
import { libraryAddress, readPlace, readToken } from './place.ts';
import type { Place } from './place.ts';

/** Where in the library one is, and with which token. */
class Visit {
  place = $state.raw<Place>(readPlace(location.href));
  token = $state<string | undefined>(undefined);
  rooms = $state.raw<string[]>(knownRooms());
  /** Where the list of a room was scrolled to, when something in it was opened. */
  readonly scrolled = new Map<string, number>();
  /** What was opened last. */
  opened: string | undefined;

  constructor() {
    this.#arrive();
    addEventListener('popstate', () => this.#arrive());
    addEventListener('hashchange', () => this.#arrive());
  }

  get room(): string | undefined {
    return this.place.page === 'room' || this.place.page === 'item' ? this.place.room : undefined;
  }

  get access() {
    return this.place.page === 'shared' ? 'view' : accessOf(this.token);
  }

  /** Who is asked about the room that one is at. */
  get library(): Library {
    return new Library({ origin: location.origin, room: this.room, token: this.token });
  }

  /** The address of a room, or of something in it. */
  address(room?: string, id?: string): string {
    const token = room === undefined ? undefined : room === this.room ? this.token : tokenOf(room);
    return libraryAddress({ room, id, token });
  }

  go(address: string): void {
    history.pushState(null, '', address);
    this.#arrive();
  }

  /** An attachment for links inside of the library: they load nothing anew. */
  readonly within = (link: HTMLAnchorElement) => {
    const follow = (event: MouseEvent) => {
      if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.go(link.href);
    };
    link.addEventListener('click', follow);
    return () => link.removeEventListener('click', follow);
  };

  #arrive(): void {
    this.place = readPlace(location.href);
    if (this.place.page === 'item') this.opened = this.place.id;
    const room = this.room;
    if (room === undefined) {
      this.token = undefined;
      return;
    }
    this.token = readToken(location.href) ?? tokenOf(room);
    // A reload finds it, and whoever goes back does.
    if (this.token && !readToken(location.href)) history.replaceState(history.state, '', libraryAddress({ room, id: this.place.page === 'item' ? this.place.id : undefined, token: this.token }));
    rememberRoom(room, this.token);
    this.rooms = knownRooms();
  }
}

export const visit = new Visit();

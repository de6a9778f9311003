import type { Library, LibraryItem, LibraryKind } from '@althing/sdk';
import { libraryProblem } from './problem.ts';

/** What the filter shows: everything, or one kind. */
export type Filter = 'all' | LibraryKind;

/** Items that are asked for at once. */
const PART = 40;

/** What is kept of a room, as far as it was asked for. */
export class Shelf {
  items = $state.raw<LibraryItem[]>([]);
  next = $state<string | undefined>(undefined);
  loading = $state(true);
  /** Why the list is not there. */
  problem = $state('');
  filter = $state<Filter>('all');
  readonly #library: Library;
  /** Which request counts: an answer that comes after another filter was chosen does not. */
  #asked = 0;

  constructor(library: Library) {
    this.#library = library;
    void this.load();
  }

  async load(): Promise<void> {
    this.items = [];
    this.next = undefined;
    await this.more();
  }

  /** Asks for the next part. */
  async more(): Promise<void> {
    const asked = ++this.#asked;
    this.loading = true;
    this.problem = '';
    try {
      const { items, next } = await this.#library.list({ after: this.next, limit: PART, kind: this.filter === 'all' ? undefined : this.filter });
      if (asked !== this.#asked) return;
      this.items = [...this.items, ...items];
      this.next = next;
    } catch (error) {
      if (asked === this.#asked) this.problem = libraryProblem(error);
    } finally {
      if (asked === this.#asked) this.loading = false;
    }
  }

  async choose(filter: Filter): Promise<void> {
    if (filter === this.filter) return;
    this.filter = filter;
    await this.load();
  }

  async rename(id: string, title: string): Promise<void> {
    const changed = await this.#library.rename(id, title);
    this.items = this.items.map((item) => (item.id === id ? changed : item));
  }

  async delete(id: string): Promise<void> {
    await this.#library.delete(id);
    this.items = this.items.filter((item) => item.id !== id);
  }
}

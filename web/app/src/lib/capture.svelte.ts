import type { Component } from 'svelte';
import { m } from '../paraglide/messages.js';
import { mayHaveKept } from './capture/hint.ts';
import type { LibraryAccess } from './capture/library.ts';
import type { Finished, Recorder } from './capture/recorder.svelte.ts';
import type { TileView } from './people.ts';
import { session } from './session.svelte.ts';
import type { What } from './witness.svelte.ts';
import { recordingProblem, screenshotProblem } from './wording.ts';

/** A picture that was taken, and of what. */
export interface Shot {
  canvas: HTMLCanvasElement;
  room: string;
  /** Of whom or what. */
  title: string;
  at: Date;
}

/** A recording that is looked at. */
export interface Looked extends Finished {
  access: LibraryAccess | undefined;
  /** Why it has ended before its time. */
  problem?: string | undefined;
}

/** What is taken of calls: pictures, and recordings in this browser. What does it is loaded when it is asked for. */
class Capture {
  /** The picture that is being edited. */
  shot = $state.raw<Shot | undefined>(undefined);
  /** What edits it, once it is loaded. */
  Editor = $state.raw<Component<{ shot: Shot; close: () => void }> | undefined>(undefined);
  /** The recording that goes on. */
  recorder = $state.raw<Recorder | undefined>(undefined);
  /** The recording that is looked at. */
  looked = $state.raw<Looked | undefined>(undefined);
  /** Whether the list of this browser's recordings is open. */
  shelfOpen = $state(false);
  /** Recordings that a crash or a reload has left, to be offered once. */
  interrupted = $state(0);
  /** What shows recordings, and that which goes on, once they are loaded. */
  Recordings = $state.raw<Component | undefined>(undefined);
  Bar = $state.raw<Component<{ recorder: Recorder }> | undefined>(undefined);
  #starting = false;

  constructor() {
    if (mayHaveKept()) void this.#lookForInterrupted();
  }

  /** Takes a picture of a tile, or of the whole stage, and opens it to be edited. */
  async screenshot(tile?: TileView): Promise<void> {
    const [at, room] = [new Date(), session.room?.room ?? ''];
    try {
      const { pictureOfStage, pictureOfTile } = await import('./capture/picture.ts');
      const canvas = tile ? pictureOfTile(tile) : pictureOfStage(session.tiles);
      if (!canvas) return session.notify(m.no_picture(), true);
      this.Editor = (await import('../components/capture/ScreenshotEditor.svelte')).default;
      this.shot = { canvas, room, at, title: tile?.name ?? room };
    } catch (error) {
      this.failed(error);
    }
  }

  /** Has the server take a picture of a tile: in the size that is sent, kept in the library. */
  async screenshotByServer({ member, name, kind }: TileView): Promise<void> {
    try {
      await session.call?.screenshot(member, kind);
      session.notify(m.screenshot_kept({ name }));
    } catch (error) {
      session.notify(screenshotProblem(error), true);
    }
  }

  /** Begins to record in this browser; all others are told. */
  async record(what: What): Promise<void> {
    if (this.recorder || this.#starting) return;
    this.#starting = true;
    try {
      const [{ Recorder }, { libraryAccess }] = await Promise.all([import('./capture/recorder.svelte.ts'), import('./capture/library.ts'), this.#load()]);
      const access = libraryAccess();
      const recorder = new Recorder(what, (finished, problem) => this.#recorded(finished, access, problem));
      await recorder.start();
      this.recorder = recorder;
      session.notify(m.others_told());
    } catch (error) {
      const isDismissed = error instanceof DOMException && error.name === 'NotAllowedError';
      if (!isDismissed) session.notify(m.not_recorded({ message: recordingProblem(error) }), true);
    } finally {
      this.#starting = false;
    }
  }

  /** Opens the list of what this browser has kept. */
  async openShelf(): Promise<void> {
    try {
      await this.#load();
      this.shelfOpen = true;
      this.interrupted = 0;
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    session.notify(m.error_other({ message: recordingProblem(error) }), true);
  }

  async #load(): Promise<void> {
    const [shelf, bar] = await Promise.all([import('../components/capture/Recordings.svelte'), import('../components/capture/RecorderBar.svelte')]);
    [this.Recordings, this.Bar] = [shelf.default, bar.default];
  }

  #recorded(finished: Finished | undefined, access: LibraryAccess | undefined, problem: unknown): void {
    this.recorder = undefined;
    const text = problem === undefined ? undefined : recordingProblem(problem);
    if (finished && finished.kept.bytes > 0) this.looked = { ...finished, access, problem: text };
    else session.notify(m.not_recorded({ message: text ?? m.nothing_recorded() }), true);
  }

  async #lookForInterrupted(): Promise<void> {
    try {
      const { held, Store } = await import('./capture/store.ts');
      const all = await (await Store.open()).all();
      const going = await held(all);
      const left = all.filter(({ id, finished, pieces }) => !finished && pieces > 0 && !going.has(id));
      if (left.length > 0) await this.#load();
      this.interrupted = left.length;
    } catch {
      // A browser that keeps nothing has left nothing.
    }
  }
}

export const capture = new Capture();

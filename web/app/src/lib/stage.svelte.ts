import type { Call } from '@althing/sdk';
import { preferences } from './preferences.ts';
import type { TileView } from './people.ts';
import { LAYOUTS, nextSpeaker, toggled } from './stage.ts';
import type { Layout } from './stage.ts';

/** How the stage is looked at: layout, pins, full screen. */
class StageView {
  layout = $state<Layout>(LAYOUTS.find((known) => known === preferences.read().layout) ?? 'auto');
  /** Keys of tiles. */
  pinned = $state.raw<ReadonlySet<string>>(new Set());
  /** Whoever spoke last, oneself excepted. */
  speaker = $state<string | undefined>(undefined);
  /** Whether the page has the whole screen. */
  full = $state(false);
  /** The window that shows the call above others, while there is one. */
  mini = $state.raw<Window | undefined>(undefined);

  constructor() {
    document.addEventListener('fullscreenchange', () => (this.full = document.fullscreenElement === document.documentElement));
  }

  choose(layout: Layout): void {
    this.layout = layout;
    preferences.write({ layout });
  }

  pin(tile: TileView): void {
    this.pinned = toggled(this.pinned, tile.key);
  }

  /** Follows who speaks in a call. */
  follow(call: Call): void {
    this.pinned = new Set();
    this.speaker = undefined;
    call.on('change', () => {
      const { room } = call;
      if (room) this.speaker = nextSpeaker(this.speaker, room.speakers, room.me.member, room.members.map(({ member }) => member));
    });
    call.on('ended', () => this.leave());
  }

  /** The page has the whole screen, or no longer. */
  async toggleFull(): Promise<void> {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen?.();
  }

  /** One tile has the whole screen. */
  async fill(tile: TileView): Promise<void> {
    const element = elementOf(tile);
    const video = element?.querySelector<HTMLVideoElement & { webkitEnterFullscreen?: () => void }>('video');
    if (element?.requestFullscreen) await element.requestFullscreen();
    // iPhones give it to videos only.
    else video?.webkitEnterFullscreen?.();
  }

  /** A tile's picture floats above other windows. */
  async float(tile: TileView): Promise<void> {
    const video = elementOf(tile)?.querySelector('video');
    if (document.pictureInPictureElement && document.pictureInPictureElement === video) await document.exitPictureInPicture();
    else await video?.requestPictureInPicture();
  }

  /** The call goes into a small window above others, or comes back. */
  async toggleMini(): Promise<void> {
    if (this.mini) return this.mini.close();
    const { openMini } = await import('./mini.ts');
    await openMini();
  }

  leave(): void {
    this.mini?.close();
    if (document.fullscreenElement) void document.exitFullscreen().catch(() => undefined);
    if (document.pictureInPictureElement) void document.exitPictureInPicture().catch(() => undefined);
  }
}

function elementOf(tile: TileView): HTMLElement | null {
  return document.querySelector(`[data-testid=tile][data-key="${CSS.escape(tile.key)}"]`);
}

export const stage = new StageView();

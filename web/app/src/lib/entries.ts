import { m } from '../paraglide/messages.js';
import { capture } from './capture.svelte.ts';
import { mayHaveKept } from './capture/hint.ts';
import type { MenuEntry } from './menu.ts';
import type { TileView } from './people.ts';

/** What the menu beside the call's controls offers, in this order. */
export function callEntries(): MenuEntry[] {
  return [{ testid: 'screenshot-stage', icon: 'screenshot', label: m.screenshot_of_call(), act: () => capture.screenshot() }, ...recording()];
}

/** What a tile's menu offers, in this order. */
export function tileEntries(tile: TileView): MenuEntry[] {
  return [{ testid: 'screenshot-tile', icon: 'screenshot', label: m.screenshot(), disabled: !tile.video, act: () => capture.screenshot(tile) }];
}

/** Recordings in this browser. */
function recording(): MenuEntry[] {
  const { recorder } = capture;
  const canShare = 'getDisplayMedia' in (navigator.mediaDevices ?? {});
  const kept: MenuEntry[] = mayHaveKept() ? [{ testid: 'open-shelf', icon: 'shelf', label: m.recordings_here(), act: () => capture.openShelf() }] : [];
  if (recorder) return [{ testid: 'end-recording', icon: 'stop', label: m.end_recording(), apart: true, act: () => recorder.stop() }, ...kept];
  const screen: MenuEntry[] = canShare ? [{ testid: 'record-screen', icon: 'record-screen', label: m.record_screen_here(), act: () => capture.record('screen') }] : [];
  return [
    { testid: 'record-audio', icon: 'sound', label: m.record_audio_here(), apart: true, act: () => capture.record('audio') },
    { testid: 'record-call', icon: 'record', label: m.record_call_here(), act: () => capture.record('call') },
    ...screen,
    ...kept,
  ];
}

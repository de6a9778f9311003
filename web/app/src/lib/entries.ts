import { libraryAddress } from '../library/place.ts';
import { m } from '../paraglide/messages.js';
import { capture } from './capture.svelte.ts';
import { mayHaveKept } from './capture/hint.ts';
import { showDialog } from './dialogs.svelte.ts';
import { gestures } from './gestures.svelte.ts';
import type { MenuEntry } from './menu.ts';
import { trackOf } from './people.ts';
import type { TileView } from './people.ts';
import { session } from './session.svelte.ts';
import { LAYOUTS } from './stage.ts';
import type { Layout } from './stage.ts';
import { stage } from './stage.svelte.ts';
import { unseenByServer } from './wording.ts';

const LOOKS: Record<Layout, { icon: MenuEntry['icon']; label: () => string }> = {
  auto: { icon: 'automatic', label: m.layout_auto },
  grid: { icon: 'grid', label: m.layout_grid },
  speaker: { icon: 'spotlight', label: m.layout_speaker },
};

/** What the menu beside the call's controls offers, in this order. */
export function callEntries(): MenuEntry[] {
  return [
    { testid: 'more-reactions', icon: 'hand', label: m.reactions(), shortcut: 'R', act: () => (gestures.open = true) },
    ...LAYOUTS.map((layout, place) => ({
      testid: `layout-${layout}`,
      icon: LOOKS[layout].icon,
      label: LOOKS[layout].label(),
      checked: stage.layout === layout,
      apart: place === 0,
      act: () => stage.choose(layout),
    })),
    ...('documentPictureInPicture' in window ? [{ testid: 'mini-window', icon: 'float' as const, label: m.mini_window(), checked: stage.mini !== undefined, act: () => stage.toggleMini().catch((error: unknown) => session.refused(error)) }] : []),
    ...(document.fullscreenEnabled ? [{ testid: 'full-screen', icon: stage.full ? ('full-exit' as const) : ('full' as const), label: m.full_screen(), shortcut: 'F', checked: stage.full, act: () => stage.toggleFull().catch(() => undefined) }] : []),
    ...(session.partner === undefined ? [{ testid: 'invite-open', icon: 'code' as const, label: m.invite(), apart: true, act: () => showDialog('invite') }] : []),
    { testid: 'statistics-open', icon: 'chart', label: m.statistics(), shortcut: 'I', checked: session.panel === 'statistics', act: () => session.show('statistics') },
    { testid: 'screenshot-stage', icon: 'screenshot', label: m.screenshot_of_call(), apart: true, act: () => capture.screenshot() },
    ...recording(),
    ...library(),
    { testid: 'settings-open', icon: 'devices', label: m.settings(), act: () => showDialog('settings') },
    { testid: 'shortcuts-open', icon: 'keyboard', label: m.shortcuts(), shortcut: '?', act: () => showDialog('shortcuts') },
  ];
}

/** What a tile's menu offers, in this order. */
export function tileEntries(tile: TileView): MenuEntry[] {
  const pinned = stage.pinned.has(tile.key);
  return [
    { testid: 'tile-pin', icon: pinned ? 'unpin' : 'pin', label: pinned ? m.unpin() : m.pin(), checked: pinned, act: () => stage.pin(tile) },
    ...(document.fullscreenEnabled ? [{ testid: 'tile-full', icon: 'full' as const, label: m.full_screen(), act: () => stage.fill(tile).catch(() => undefined) }] : []),
    ...(document.pictureInPictureEnabled && tile.video && !tile.mine ? [{ testid: 'tile-float', icon: 'float' as const, label: m.picture_in_picture(), act: () => stage.float(tile).catch(() => undefined) }] : []),
    { testid: 'screenshot-tile', icon: 'screenshot', label: m.screenshot(), disabled: !tile.video, act: () => capture.screenshot(tile) },
    ...screenshotByServer(tile),
    ...moderation(tile),
  ];
}

/** What moderators may do with somebody. */
function moderation(tile: TileView): MenuEntry[] {
  const { room, call } = session;
  const member = room?.members.find((other) => other.member === tile.member);
  if (!room?.grants.moderate || !call || !member || tile.mine) return [];
  const refused = (error: unknown) => session.refused(error);
  const track = trackOf(member, tile.kind === 'screen' ? 'screen' : 'microphone');
  const { name } = tile;
  const entries: MenuEntry[] = [];
  // What a direct connection carries has no number of the server's.
  if (track && track.track > 0 && tile.kind === 'camera') {
    const muted = track.muted_by_moderator;
    entries.push({ testid: 'tile-mute', icon: muted ? 'microphone' : 'microphone-off', label: muted ? m.unmute_member({ name }) : m.mute_member({ name }), act: () => call.muteMember(track.track, !muted).catch(refused) });
  }
  if (member.hand !== undefined) entries.push({ testid: 'tile-lower', icon: 'hand', label: m.lower_hand_of({ name }), act: () => call.raiseHand(false, member.member).catch(refused) });
  entries.push({ testid: 'tile-kick', icon: 'remove', label: m.kick_member({ name }), act: () => confirm(m.kick_confirm({ name })) && call.kick(member.member).catch(refused) });
  return entries.map((entry, place) => ({ ...entry, apart: place === 0 }));
}

/** A picture that the server takes, for whoever may have it recorded. Where it cannot, for now or in this call, it says why. */
function screenshotByServer(tile: TileView): MenuEntry[] {
  const { room, call, route, encrypted } = session;
  const features = call?.server?.features;
  if (!room?.grants.record || !features?.recording || !features.library) return [];
  const reason = unseenByServer({ encrypted, via: route.via, screenshots: features.screenshots });
  return [{ testid: 'screenshot-server', icon: 'shelf', label: m.screenshot_by_server(), disabled: !tile.video || reason !== undefined, reason, act: () => capture.screenshotByServer(tile) }];
}

/** What is kept of the room on the server, in a tab of its own: the call goes on. */
function library(): MenuEntry[] {
  const { room, call, token } = session;
  if (!room || !call?.server?.features.library || room.grants.library === 'none') return [];
  return [{ testid: 'library-open', icon: 'shelf', label: m.library(), act: () => window.open(libraryAddress({ room: room.room, token }), '_blank', 'noopener') }];
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

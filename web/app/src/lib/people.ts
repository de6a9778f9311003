import type { Call, MemberId, MemberInfo, MemberMedia, RoomState, Source, TrackInfo, TrackQuality } from '@althing/sdk';

import { handsOf } from './gestures.ts';

/** One picture on the stage: somebody, or somebody's screen. */
export interface TileView {
  /** Stable, so that a tile stays where it is when others come and go. */
  key: string;
  member: MemberId;
  name: string;
  kind: 'camera' | 'screen';
  mine: boolean;
  /** The picture; absent when there is none to show. */
  video: MediaStreamTrack | undefined;
  /** What is sent of it. */
  quality: TrackQuality | undefined;
  /** The microphone's state, for cameras. */
  muted: boolean;
  mutedByModerator: boolean;
  speaking: boolean;
  away: boolean;
  /** Which of the raised hands theirs is, from 1; none while it is down. */
  hand: number | undefined;
}

/** What the room's tiles show: others in the order in which they came, then oneself. */
export function tilesOf(call: Call, own: { camera: MediaStreamTrack | null; screen: MediaStreamTrack | null; microphoneOn: boolean }): TileView[] {
  const room = call.room;
  if (!room) return [];
  const speaking = new Set(room.speakers);
  const places = new Map(handsOf([room.me, ...room.members]).map(({ member }, index) => [member, index + 1]));
  const others = room.members.flatMap((member) => tilesOfMember(member, call.media.get(member.member), room.quality, speaking.has(member.member), places.get(member.member)));
  const me = { ...common(room.me, speaking.has(room.me.member), places.get(room.me.member)), quality: undefined, mine: true, muted: !own.microphoneOn };
  const mine: TileView[] = [{ ...me, key: 'me', kind: 'camera', video: own.camera ?? undefined }];
  if (own.screen) mine.push({ ...me, key: 'me/screen', kind: 'screen', video: own.screen });
  return [...others, ...mine];
}

/** What a member publishes of a source. */
export function trackOf(member: MemberInfo, source: Source): TrackInfo | undefined {
  return member.tracks.find((track) => track.source === source);
}

/** Two letters at most, for whoever shows no picture. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return letters.map((word) => [...(word ?? '?')][0]?.toLocaleUpperCase() ?? '').join('');
}

/** A colour that stays the same for the same person (degrees of hue). */
export function hue(identity: string): number {
  let hash = 2166136261;
  for (const letter of identity) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 16777619) >>> 0;
  // Neighbouring hashes are put far apart on the circle.
  return Math.round((hash * 137.508) % 360);
}

function tilesOfMember(member: MemberInfo, media: MemberMedia | undefined, quality: RoomState['quality'], speaking: boolean, hand: number | undefined): TileView[] {
  const base = { ...common(member, speaking, hand), mine: false };
  const tiles: TileView[] = [{ ...base, ...shown(member, 'camera', media, quality), key: member.member, kind: 'camera' }];
  if (trackOf(member, 'screen')) tiles.push({ ...base, ...shown(member, 'screen', media, quality), key: `${member.member}/screen`, kind: 'screen' });
  return tiles;
}

function common(member: MemberInfo, speaking: boolean, hand: number | undefined) {
  const microphone = trackOf(member, 'microphone');
  return {
    member: member.member,
    name: member.name || member.member,
    muted: microphone?.muted ?? true,
    mutedByModerator: microphone?.muted_by_moderator ?? false,
    speaking,
    away: member.away,
    hand,
  };
}

/** A picture that its sender has muted is not shown, even while its last frame is still there. */
function shown(member: MemberInfo, kind: TileView['kind'], media: MemberMedia | undefined, quality: RoomState['quality']): Pick<TileView, 'video' | 'quality'> {
  const track = trackOf(member, kind);
  const video = track && !track.muted && !track.muted_by_moderator ? media?.[kind]?.video : undefined;
  return { video, quality: track && video && quality.get(track.track) };
}

import { expect, test } from 'vitest';
import { enter, mergeChat, reduce } from '../src/state.ts';
import type { RoomState } from '../src/state.ts';
import type { ChatMessage, Event, MemberInfo } from '../src/wire.ts';
import { joined } from './server.ts';

function member(id: string, more: Partial<MemberInfo> = {}): MemberInfo {
  return { member: id, name: id.toUpperCase(), moderator: false, away: false, tracks: [], ...more };
}

function line(number: number): ChatMessage {
  return { number, member: 'a', name: 'A', at: number, text: `line ${number}` };
}

function after(state: RoomState, ...events: Event[]): RoomState {
  return events.reduce(reduce, state);
}

const camera = { track: 3, source: 'camera', muted: false, muted_by_moderator: false } as const;

test('hands go up and down, and whoever moderates knows who knocks', () => {
  const begin = enter(joined({ members: [member('a')], knocking: [{ member: 'k', name: 'K' }], encrypted: true }));
  expect([begin.knocking.length, begin.encrypted]).toEqual([1, true]);
  const up = after(begin, { type: 'hand', member: 'a', hand: 3 }, { type: 'hand', member: 'me', hand: 4 }, { type: 'knocking', people: [] });
  expect([up.members[0]?.hand, up.me.hand, up.knocking.length]).toEqual([3, 4, 0]);
  const down = after(up, { type: 'hand', member: 'a' }, { type: 'reaction', member: 'a', reaction: 'heart' });
  expect('hand' in (down.members[0] ?? {})).toBe(false);
  expect(enter(joined()).encrypted).toBe(false);
});

test('who is changed, and what may be done, is told; what is said of the room, too', () => {
  const begin = enter(joined({ members: [member('a', { away: true })], me: member('me', { tracks: [camera] }), metadata: 'a lesson' }));
  expect(begin.metadata).toBe('a lesson');
  const changed = after(
    begin,
    { type: 'member_changed', member: member('a', { name: 'New', attributes: { seat: '7' }, away: true }) },
    { type: 'granted', grants: { ...begin.grants, publish: ['microphone'] } },
    { type: 'room', metadata: 'an exam' },
  );
  expect(changed.members[0]).toEqual(member('a', { name: 'New', attributes: { seat: '7' }, away: true }));
  expect([changed.me.tracks, changed.grants.publish, changed.metadata]).toEqual([[], ['microphone'], 'an exam']);
});

test('what is sent elsewhere is known from the beginning, and all of it is told anew', () => {
  const sent = { egress: 'e', member: 'a', screen: false, host: 'live.example.org', by: 'b', at: 1 };
  expect(enter(joined()).egress).toEqual([]);
  const begin = enter(joined({ egress: [sent] }));
  expect(begin.egress).toEqual([sent]);
  expect(after(begin, { type: 'egress', sessions: [] }).egress).toEqual([]);
  expect(after(enter(joined()), { type: 'egress', sessions: [sent] }).egress).toEqual([sent]);
});

test('members come and go, in the order in which they came', () => {
  const state = after(
    enter(joined({ members: [member('a')] })),
    { type: 'member_joined', member: member('b') },
    { type: 'member_joined', member: member('c') },
    { type: 'member_left', member: 'b', reason: 'left' },
  );
  expect(state.members.map((other) => other.member)).toEqual(['a', 'c']);
});

test('a fallback is no track of the room', () => {
  const me = member('me', { tracks: [camera, { ...camera, track: 4, fallback: true }] });
  expect(enter(joined({ me })).me.tracks).toEqual([camera]);
});

test('a member that is told twice is there once', () => {
  const state = after(enter(joined()), { type: 'member_joined', member: member('a') }, { type: 'member_joined', member: member('a', { name: 'New' }) });
  expect(state.members).toEqual([member('a', { name: 'New' })]);
});

test('whoever leaves is neither heard nor seen any more', () => {
  const state = after(
    enter(joined({ members: [member('a')], speakers: ['a', 'me'], slots: [{ pair: 0, member: 'a', screen: false, video: 3 }] })),
    { type: 'member_left', member: 'a', reason: 'lost' },
  );
  expect(state.speakers).toEqual(['me']);
  expect(state.slots).toEqual([]);
});

test('tracks are added, changed and removed', () => {
  const begin = enter(joined({ members: [member('a')] }));
  const added = after(begin, { type: 'track', member: 'a', track: camera });
  expect(added.members[0]?.tracks).toEqual([camera]);
  const muted = after(added, { type: 'track', member: 'a', track: { ...camera, muted: true } });
  expect(muted.members[0]?.tracks).toEqual([{ ...camera, muted: true }]);
  expect(after(muted, { type: 'track_ended', member: 'a', track: 3 }).members[0]?.tracks).toEqual([]);
  expect(begin.members[0]?.tracks).toEqual([]);
});

test('what a moderator does to my own track is known', () => {
  const state = after(enter(joined()), { type: 'track', member: 'me', track: { ...camera, muted_by_moderator: true } });
  expect(state.me.tracks[0]?.muted_by_moderator).toBe(true);
});

test('a slots message replaces all slots, and need never lowers what is needed', () => {
  const state = after(
    enter(joined({ pairs: 4, slots: [{ pair: 0, member: 'a', screen: false }] })),
    { type: 'slots', slots: [{ pair: 1, member: 'b', screen: true }] },
    { type: 'need', pairs: 8 },
    { type: 'need', pairs: 6 },
  );
  expect(state.slots).toEqual([{ pair: 1, member: 'b', screen: true }]);
  expect(state.pairs).toBe(8);
});

test('resuming replaces the room but keeps chat that the server no longer lists', () => {
  const before = enter(joined({ members: [member('a')], chat: [line(1), line(2)] }));
  const state = enter(joined({ members: [member('b')], chat: [line(2), line(3)] }), before);
  expect(state.members.map((other) => other.member)).toEqual(['b']);
  expect(state.chat.map((message) => message.number)).toEqual([1, 2, 3]);
});

test('chat is in order and each line is there once, in whatever order it came', () => {
  expect(mergeChat([line(2), line(4)], [line(3), line(4), line(1)]).map((message) => message.number)).toEqual([1, 2, 3, 4]);
});

test('what is sent of the pictures is what was told last, all of it', () => {
  const state = after(
    enter(joined()),
    { type: 'quality', tracks: [{ track: 3, level: 'low', limit: 'bandwidth' }, { track: 4, level: 'high' }] },
    { type: 'quality', tracks: [{ track: 3, level: 'paused', limit: 'view' }] },
  );
  expect([...state.quality]).toEqual([[3, { track: 3, level: 'paused', limit: 'view' }]]);
  expect(enter(joined(), state).quality).toBe(state.quality);
  expect(enter(joined({ room: 'other' }), state).quality.size).toBe(0);
});

test('when the media of the room are lost, nobody has tracks until they publish again', () => {
  const begin = enter(joined({ members: [member('a', { tracks: [camera] })], speakers: ['a'], slots: [{ pair: 0, member: 'a', screen: false, video: 3 }] }));
  const lost = after(begin, { type: 'restart' });
  expect(lost).toMatchObject({ members: [{ member: 'a', tracks: [] }], speakers: [], slots: [] });
  expect(after(lost, { type: 'track', member: 'a', track: { ...camera, track: 8 } }).members[0]?.tracks).toEqual([{ ...camera, track: 8 }]);
});

test('events about the connection leave the room as it was', () => {
  const state = enter(joined());
  expect(after(state, { type: 'media', connected: false }, { type: 'demand', track: 3, rids: [] })).toBe(state);
});

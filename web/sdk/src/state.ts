import type { Joined } from './signaling.ts';
import type { ChatMessage, EgressInfo, Event, Grants, Knocker, MemberId, MemberInfo, Policy, RecordingInfo, SlotPair, TrackInfo, TrackNumber, TrackQuality } from './wire.ts';

/** How many chat messages are kept in memory. */
const CHAT_KEPT = 1000;

/** A room as one of its members knows it. A value: each change makes a new one. */
export interface RoomState {
  readonly room: string;
  readonly me: MemberInfo;
  readonly grants: Grants;
  /** The others, in the order in which they came. */
  readonly members: readonly MemberInfo[];
  /** Who speaks, loudest first. */
  readonly speakers: readonly MemberId[];
  /** Who is in which slot pair. */
  readonly slots: readonly SlotPair[];
  /** What is sent of the pictures in them, by track. */
  readonly quality: ReadonlyMap<TrackNumber, TrackQuality>;
  /** How many slot pairs the server needs. */
  readonly pairs: number;
  /** Oldest first. */
  readonly chat: readonly ChatMessage[];
  readonly locked: boolean;
  /** How the room's media shall travel. */
  readonly policy: Policy;
  /** The recording that the server makes of the room, while it does. */
  readonly recording: RecordingInfo | undefined;
  /** What of the room is sent to servers elsewhere. */
  readonly egress: readonly EgressInfo[];
  /** Who knocks at the locked room, as moderators know it. */
  readonly knocking: readonly Knocker[];
  /** Whether all members encrypt their media end to end. */
  readonly encrypted: boolean;
  /** What the application says of the room. */
  readonly metadata: string;
  /** The server has said that it ends in so many seconds at most. */
  readonly ending: number | undefined;
}

/** The room as `join` or `resume` returned it; chat that is known already is kept, and quality until it is told again. */
export function enter(joined: Joined, before?: RoomState): RoomState {
  const known = before?.room === joined.room ? before : undefined;
  return {
    room: joined.room,
    me: { ...joined.me, tracks: shared(joined.me.tracks) },
    grants: joined.grants,
    members: joined.members,
    speakers: joined.speakers,
    slots: joined.slots,
    quality: known?.quality ?? new Map(),
    pairs: joined.pairs,
    chat: mergeChat(known?.chat ?? [], joined.chat),
    locked: joined.locked,
    policy: joined.policy,
    recording: joined.recording,
    egress: joined.egress ?? [],
    knocking: joined.knocking ?? [],
    encrypted: joined.encrypted ?? false,
    metadata: joined.metadata ?? '',
    ending: undefined,
  };
}

/** Chat of a room that the server has forgotten, for a call that has outlived it: before all that is said from now on. */
export function bygone(chat: readonly ChatMessage[]): ChatMessage[] {
  return chat.map((message, index) => ({ ...message, number: (index + 1) / (chat.length + 1) }));
}

/** The room after an event. Events that say nothing about the room return it as it was. */
export function reduce(state: RoomState, event: Event): RoomState {
  switch (event.type) {
    case 'member_joined':
      return { ...state, members: [...without(state.members, event.member.member), event.member] };
    case 'member_left':
      return {
        ...state,
        members: without(state.members, event.member),
        speakers: state.speakers.filter((member) => member !== event.member),
        slots: state.slots.filter((slot) => slot.member !== event.member),
      };
    case 'member_away':
      return change(state, event.member, (member) => ({ ...member, away: event.away }));
    case 'member_changed':
      return change(state, event.member.member, () => ({ ...event.member, tracks: shared(event.member.tracks) }));
    case 'granted':
      return { ...state, grants: event.grants, me: { ...state.me, tracks: state.me.tracks.filter((track) => event.grants.publish.includes(track.source)) } };
    case 'room':
      return { ...state, metadata: event.metadata };
    case 'track':
      return change(state, event.member, (member) => ({ ...member, tracks: withTrack(member.tracks, event.track) }));
    case 'track_ended':
      return change(state, event.member, (member) => ({ ...member, tracks: member.tracks.filter((track) => track.track !== event.track) }));
    case 'need':
      return { ...state, pairs: Math.max(state.pairs, event.pairs) };
    case 'slots':
      return { ...state, slots: event.slots };
    case 'quality':
      return { ...state, quality: new Map(event.tracks.map((track) => [track.track, track])) };
    case 'speakers':
      return { ...state, speakers: event.members };
    case 'chat':
      return { ...state, chat: mergeChat(state.chat, [event.message]) };
    case 'hand':
      return change(state, event.member, (member) => withHand(member, event.hand));
    case 'knocking':
      return { ...state, knocking: event.people };
    case 'locked':
      return { ...state, locked: event.locked };
    case 'recording':
      return { ...state, recording: event.recording };
    case 'egress':
      return { ...state, egress: event.sessions };
    case 'draining':
      return { ...state, ending: event.seconds };
    case 'restart':
      return { ...state, me: silent(state.me), members: state.members.map(silent), slots: [], speakers: [], quality: new Map() };
    case 'policy':
      return { ...state, policy: event.policy };
    case 'publish_excess':
      return event.ended ? { ...state, me: { ...state.me, tracks: state.me.tracks.filter((track) => track.track !== event.track) } } : state;
    case 'reaction':
    case 'way':
    case 'signal':
    case 'demand':
    case 'fallback':
    case 'media':
    case 'screenshot':
    case 'data':
    case 'data_closed':
    case 'person':
    case 'person_gone':
    case 'ringing':
    case 'accepted':
    case 'call_over':
    case 'bye':
      return state;
  }
}

/** Of the own tracks those that others know. */
export function shared(tracks: readonly TrackInfo[]): TrackInfo[] {
  return tracks.filter((track) => !track.fallback);
}

/** Both, by number, each once; the newest are kept. */
export function mergeChat(known: readonly ChatMessage[], more: readonly ChatMessage[]): readonly ChatMessage[] {
  if (more.length === 0) return known;
  const byNumber = new Map<number, ChatMessage>();
  // What was said without the server has a number between two of its own, until the server tells of it by its key.
  const told = new Set(more.filter(({ number, key }) => key !== undefined && Number.isInteger(number)).map(({ member, key }) => `${member} ${key}`));
  for (const message of known) if (Number.isInteger(message.number) || !told.has(`${message.member} ${message.key}`)) byNumber.set(message.number, message);
  for (const message of more) byNumber.set(message.number, message);
  return [...byNumber.values()].sort((a, b) => a.number - b.number).slice(-CHAT_KEPT);
}

function without(members: readonly MemberInfo[], gone: MemberId): MemberInfo[] {
  return members.filter((member) => member.member !== gone);
}

function withHand({ hand: _, ...member }: MemberInfo, hand: number | undefined): MemberInfo {
  return hand === undefined ? member : { ...member, hand };
}

/** A member whose tracks are gone. */
function silent(member: MemberInfo): MemberInfo {
  return { ...member, tracks: [] };
}

function withTrack(tracks: readonly TrackInfo[], track: TrackInfo): TrackInfo[] {
  const found = tracks.some((other) => other.track === track.track);
  return found ? tracks.map((other) => (other.track === track.track ? track : other)) : [...tracks, track];
}

function change(state: RoomState, who: MemberId, how: (member: MemberInfo) => MemberInfo): RoomState {
  if (state.me.member === who) return { ...state, me: how(state.me) };
  return { ...state, members: state.members.map((member) => (member.member === who ? how(member) : member)) };
}

// The signaling messages. Generated from src/wire by `UPDATE_TYPES=1 cargo test`; do not edit.

export const VERSION = 1;
export const SUBPROTOCOL = "althing.v1";

/** One message from a client. */
export type ClientMessage = {
    /** Chosen by the client; the answer carries it. */
    id: number, } & Request;

/** What a client asks for. */
export type Request = { "type": "hello",
    /** Protocol versions that it speaks. */
    versions: Array<number>,
    /** Optional features that it knows; unknown ones are ignored. */
    features?: Array<string>, }
  | { "type": "join",
    /** The room's name: 1–64 characters, letters, digits, `.`, `_`, `-`. */
    room: string,
    /** The name to show; the token's name wins when it has one. */
    name?: string,
    /** A join token (JWT). */
    token?: string,
    /** The identity that the client had before its session was lost. Without keys it is given back; with keys the token says it. */
    me?: MemberId,
    /** That the client can be connected with another one directly. Without it the room's media goes through the server. */
    direct?: DirectAbility,
    /** Where the room is locked, its moderators are asked: the join is refused all the same, and may be repeated every few seconds until one
     * of them has let the client in. Whoever does not for ten seconds has gone away. */
    knock?: boolean,
    /** That the client encrypts its media end to end. All members of a room do, or none of them: the first one decides. */
    encrypted?: boolean, }
  | { "type": "resume",
    /** The secret that `join` returned. */
    resume: string,
    /** The `seq` of the last event received, 0 for none. A number that was never sent is refused. */
    seq: number, }
  | { "type": "leave", }
  | { "type": "enter",
    /** The lobby's name, which follows the rule of rooms' names. A token names it as it names a room. */
    lobby: string,
    /** The name to show; the token's name wins when it has one. */
    name?: string,
    /** A join token (JWT). */
    token?: string,
    /** The identity that the client had before. Without keys it is given back; with keys the token says it. */
    me?: MemberId,
    /** The call that the client is an end of, whose socket was lost: this socket takes it up. */
    call?: CallId, }
  | { "type": "call",
    /** Whom. */
    to: MemberId,
    /** What with. */
    media: CallMedia, }
  | { "type": "accept",
    /** Which. */
    call: CallId, }
  | { "type": "reject",
    /** Which. */
    call: CallId,
    /** Why. */
    reason?: RejectReason, }
  | { "type": "cancel",
    /** Which. */
    call: CallId, }
  | { "type": "hang_up",
    /** Which. */
    call: CallId, }
  | { "type": "offer",
    /** The session description. */
    sdp: string,
    /** What is published on which m-line: all of it, not only what is new. */
    publish?: Array<PublishLine>, }
  | { "type": "candidate",
    /** The candidate attribute's value; empty for the end of candidates. */
    candidate: string,
    /** The m-line's mid. */
    mid?: string, }
  | { "type": "publish",
    /** The m-line's mid. */
    mid: string,
    /** Where the track comes from. */
    source: Source,
    /** Whether it begins muted. */
    muted?: boolean,
    /** Whether it is a fallback: the picture of the own track of this source once more in another codec, as the event `fallback` asks
     * for it. It comes and goes with that track, and nobody else is told of it. */
    fallback?: boolean, }
  | { "type": "unpublish",
    /** Which track. */
    track: TrackNumber, }
  | { "type": "mute",
    /** Which track. */
    track: TrackNumber,
    /** Whether it is muted. */
    muted: boolean, }
  | { "type": "subscribe",
    /** Which tracks. */
    tracks: Array<TrackNumber>, }
  | { "type": "unsubscribe",
    /** Which tracks. */
    tracks: Array<TrackNumber>, }
  | { "type": "view",
    /** The tiles (at most 64). */
    tiles: Array<Tile>, }
  | { "type": "ice_servers", }
  | { "type": "signal",
    /** The direct connection, as the event `way` names it. */
    session: string,
    /** What. */
    signal: Signal, }
  | { "type": "direct",
    /** The direct connection. */
    session: string,
    /** How it stands. */
    state: DirectState, }
  | { "type": "release", }
  | { "type": "policy",
    /** How. */
    policy: Policy, }
  | { "type": "chat",
    /** What (1 byte to 4 KiB). */
    text: string,
    /** A key of the sender's (at most 64 bytes): a repeated key is answered like the first, and sent to nobody. */
    key?: string,
    /** Whether the sender wants the message as an event too. */
    echo?: boolean, }
  | { "type": "history",
    /** Only messages with a smaller number. */
    before?: number,
    /** At most so many (1–200), the newest of them. */
    limit: number, }
  | { "type": "data",
    /** What it is about (at most 64 bytes). */
    topic?: string,
    /** Whom it is for (at most 32); empty for all others. Who is not in the room is left out. */
    to?: Array<MemberId>,
    /** What. */
    payload: DataPayload,
    /** Whether it may be lost on the way, and arrive in any order: it is not sent again, and waits behind nothing. */
    lossy?: boolean,
    /** A number of the sender's that rises with each message: one that does not was said before, and is sent to nobody. */
    number?: number, }
  | { "type": "hand",
    /** Whether it is raised. */
    raised: boolean,
    /** Whose; nobody named: the own. */
    member?: MemberId, }
  | { "type": "react",
    /** What. */
    reaction: Reaction, }
  | { "type": "describe",
    /** The metadata; empty for none. */
    metadata?: string,
    /** The attributes: all of them. */
    attributes?: { [key in string]: string }, }
  | { "type": "audience",
    /** The source. */
    source: Source,
    /** Who alone may receive it (at most 100; nobody, where none is named); absent: everybody again. */
    members?: Array<MemberId>, }
  | { "type": "kick",
    /** Whom. */
    member: MemberId, }
  | { "type": "mute_member",
    /** Which track. */
    track: TrackNumber,
    /** Whether it is muted. */
    muted: boolean, }
  | { "type": "mute_all",
    /** Which source. */
    source: Source,
    /** Whether it is muted. */
    muted: boolean, }
  | { "type": "lock",
    /** Whether the room is locked. */
    locked: boolean, }
  | { "type": "admit",
    /** Whom. */
    member: MemberId,
    /** Whether they may come in. */
    admitted: boolean, }
  | { "type": "record",
    /** Who is recorded; nobody named: everybody. */
    members?: Array<MemberId>,
    /** What of them is recorded; nothing named: everything. */
    sources?: Array<Source>, }
  | { "type": "stop_recording", }
  | { "type": "screenshot",
    /** Whose. */
    member: MemberId,
    /** The camera, or the screen. */
    source: Source, }
  | { "type": "ping", };

/** How one track of video is shown. */
export type Tile = {
    /** Which track. */
    track: TrackNumber,
    /** Width of the picture in pixels of the display; 0 when it is not to be seen. */
    width: number,
    /** Height of the picture in pixels of the display; 0 when it is not to be seen. */
    height: number,
    /** How much it matters. */
    priority?: Priority, };

/** What a sending m-line carries. */
export type PublishLine = {
    /** The m-line's mid. */
    mid: string,
    /** Where the track comes from. */
    source: Source,
    /** Whether it begins muted. */
    muted?: boolean,
    /** Whether it is a fallback: the picture of the own track of this source once more in another codec, as the event `fallback` asks
     * for it. It comes and goes with that track, and nobody else is told of it. */
    fallback?: boolean, };

/** One message from the server. */
export type ServerMessage = { "type": "ok",
    /** The request's id. */
    id: number,
    /** What it returns, if anything. */
    result?: OkResult, }
  | { "type": "error",
    /** The request's id; absent when the message was too broken to have one. */
    id?: number,
    /** What is wrong, for programs. */
    code: ErrorCode,
    /** What is wrong and what to do about it, for people (English). */
    message: string,
    /** Whether the same request may succeed later. */
    retryable: boolean, }
  | { "type": "event",
    /** Rises by one from event to event of a session. */
    seq: number,
    /** What. */
    event: Event, };

/** What a request returns. */
export type OkResult = { "of": "welcome",
    /** The version that both speak from now on. */
    version: number,
    /** The server's name and version. */
    server: string,
    /** What the server holds to. */
    limits: Limits,
    /** The server pings about so often (milliseconds), and closes a socket that is silent for twice that. */
    heartbeat_ms: number,
    /** A lost session may be resumed for so long (milliseconds). */
    resume_ms: number,
    /** Features of this server. */
    features: WelcomeFeatures, }
  | { "of": "joined",
    /** The room's name. */
    room: string,
    /** The member's own identity and name. */
    me: MemberInfo,
    /** What it may do. */
    grants: Grants,
    /** The secret that `resume` takes. */
    resume: string,
    /** How many receiving slot pairs its next offer should have. */
    pairs: number,
    /** The others. */
    members: Array<MemberInfo>,
    /** Who speaks, loudest first. */
    speakers: Array<MemberId>,
    /** The latest chat, oldest first; numbers tell a client that resumes which messages it has already. */
    chat: Array<ChatMessage>,
    /** Whether the room is locked. */
    locked: boolean,
    /** The `seq` up to which this is the state: the next event has the number after it. */
    seq: number,
    /** Who is in which slot pair (empty after `join`). */
    slots: Array<SlotPair>,
    /** Whether the server still holds this session's media connection; if not, make a new peer connection and offer. */
    connection: boolean,
    /** How the member's media travels. The event `way` follows when that changes. */
    way: Way,
    /** How the room's media shall travel. */
    policy: Policy,
    /** The recording that goes on, if the room is recorded. */
    recording?: RecordingInfo,
    /** What of the room is sent to servers elsewhere. */
    egress?: Array<EgressInfo>,
    /** Who knocks, for moderators. */
    knocking?: Array<Knocker>,
    /** Whether all members encrypt their media end to end. */
    encrypted?: boolean,
    /** What the application says of the room: the server does not look into it. */
    metadata?: string, }
  | { "of": "entered",
    /** The lobby's name. */
    lobby: string,
    /** The own identity and name. */
    me: PersonInfo,
    /** What may be published in a call. */
    grants: Grants,
    /** The others. */
    people: Array<PersonInfo>, }
  | { "of": "calling",
    /** The call's name. */
    call: CallId,
    /** It rings for so long (milliseconds). */
    left_ms: number, }
  | { "of": "answer",
    /** The session description. */
    sdp: string,
    /** The m-lines of each receiving slot pair. */
    pairs: Array<PairMids>,
    /** The member's own tracks after this offer, each with the mid it is sent on. */
    published: Array<[string, TrackInfo]>, }
  | { "of": "published",
    /** The track. */
    track: TrackInfo, }
  | { "of": "ice_servers",
    /** The servers. */
    servers: Array<IceServer>,
    /** The credentials are good for so long (milliseconds): whoever needs them longer asks again. */
    lifetime_ms: number, }
  | { "of": "said",
    /** The message's number. */
    number: number,
    /** When the server took it: milliseconds since the Unix epoch. */
    at: number, }
  | { "of": "screenshot",
    /** The picture's identity in the library. */
    item: string, }
  | { "of": "history",
    /** The messages. */
    messages: Array<ChatMessage>, };

/** What a server can do, beyond the version. */
export type WelcomeFeatures = {
    /** No keys are configured: anybody may join any room. */
    development: boolean,
    /** Members may be connected with each other directly, where their room's policy is so. */
    direct: boolean,
    /** An offer may have an m-line of data channels. */
    data: boolean,
    /** Rooms may be recorded, by whoever is granted that. */
    recording: boolean,
    /** Relays for calls that find no direct way are in this server: such a call ends with it. */
    relay: boolean,
    /** What is kept of rooms can be listed, played and downloaded, by whoever is granted that. */
    library: boolean,
    /** Members may add to it. */
    uploads: boolean,
    /** The server takes pictures of what members show (`screenshot`), by whoever is granted to record: as far as it knows, there is what decodes them. */
    screenshots: boolean, };

/** Limits that a client should know. */
export type Limits = {
    /** Bytes of a message, `offer` excepted. */
    message_bytes: number,
    /** Bytes of an `offer`. */
    offer_bytes: number,
    /** m-lines of an offer. */
    mlines: number,
    /** Messages a second. */
    messages_per_second: number,
    /** Bytes of a chat text. */
    chat_bytes: number,
    /** Bytes of a name to show. */
    name_bytes: number,
    /** Bytes of data in one message. */
    data_bytes: number,
    /** Bytes of a member's metadata and attributes together. */
    metadata_bytes: number, };

/** The m-lines of a receiving slot pair. */
export type PairMids = {
    /** The pair's number, from 0. */
    pair: number,
    /** The mid of its audio m-line. */
    audio?: string,
    /** The mid of its video m-line. */
    video?: string, };

/** Who is in a slot pair. A pair that is empty is not listed. */
export type SlotPair = {
    /** The pair's number. */
    pair: number,
    /** Whose tracks. */
    member: MemberId,
    /** Whether they are of a shared screen (else of camera and microphone). */
    screen: boolean,
    /** The audio track in it. */
    audio?: TrackNumber,
    /** The video track in it. */
    video?: TrackNumber, };

/** Why a request was refused. */
export type ErrorCode = "malformed" | "unknown_message" | "unsupported_version" | "rate_limited" | "wrong_state" | "token_missing" | "token_invalid" | "token_expired" | "token_wrong_room" | "kicked" | "forbidden" | "invalid_room_name" | "invalid_name" | "full" | "draining" | "locked" | "not_admitted" | "encryption_differs" | "encrypted" | "resume_unknown" | "not_found" | "limit_exceeded" | "publish_conflict" | "sdp_malformed" | "sdp_fingerprint" | "sdp_ice" | "sdp_bundle" | "sdp_too_many_mlines" | "sdp_no_codec" | "sdp_changed" | "direct_only" | "not_direct" | "busy" | "recording_unavailable" | "library_full" | "screenshot_unavailable" | "internal";

/** Something that happened. */
export type Event = { "type": "member_joined",
    /** Who. */
    member: MemberInfo, }
  | { "type": "draining",
    /** So many seconds are left at most. */
    seconds: number, }
  | { "type": "member_left",
    /** Who. */
    member: MemberId,
    /** Why. */
    reason: LeaveReason, }
  | { "type": "member_away",
    /** Who. */
    member: MemberId,
    /** Whether the socket is lost. */
    away: boolean, }
  | { "type": "member_changed",
    /** Who, as they are now. */
    member: MemberInfo, }
  | { "type": "granted",
    /** What it may do now. */
    grants: Grants, }
  | { "type": "room",
    /** The metadata as it is now. */
    metadata: string, }
  | { "type": "track",
    /** Whose. */
    member: MemberId,
    /** The track as it is now. */
    track: TrackInfo, }
  | { "type": "track_ended",
    /** Whose. */
    member: MemberId,
    /** Which. */
    track: TrackNumber, }
  | { "type": "publish_excess",
    /** Which track. */
    track: TrackNumber,
    /** Kilobits a second that it may send, all its tracks together. */
    limit_kbps: number,
    /** Kilobits a second that it has sent lately. */
    sent_kbps: number,
    /** Whether the track has ended. */
    ended: boolean, }
  | { "type": "need",
    /** How many. */
    pairs: number, }
  | { "type": "slots",
    /** The pairs that are filled. */
    slots: Array<SlotPair>, }
  | { "type": "speakers",
    /** The members. */
    members: Array<MemberId>, }
  | { "type": "quality",
    /** The tracks. */
    tracks: Array<TrackQuality>, }
  | { "type": "demand",
    /** Which track. */
    track: TrackNumber,
    /** The rids that are wanted, smallest first. */
    rids: Array<string>, }
  | { "type": "fallback",
    /** Which track. */
    track: TrackNumber,
    /** The codecs, the best first. */
    codecs: Array<VideoCodec>, }
  | { "type": "way",
    /** How. */
    way: Way, }
  | { "type": "signal",
    /** The direct connection. */
    session: string,
    /** What. */
    signal: Signal, }
  | { "type": "policy",
    /** How. */
    policy: Policy, }
  | { "type": "chat",
    /** What. */
    message: ChatMessage, }
  | { "type": "data",
    /** Who. */
    from: MemberId,
    /** What it is about. */
    topic?: string,
    /** What. */
    payload: DataPayload, }
  | { "type": "data_closed",
    /** Why. */
    reason: DataEnd, }
  | { "type": "hand",
    /** Whose. */
    member: MemberId,
    /** Where it is in order, as in `MemberInfo`; none when it is lowered. */
    hand?: number, }
  | { "type": "reaction",
    /** Who. */
    member: MemberId,
    /** What. */
    reaction: Reaction, }
  | { "type": "knocking",
    /** Who. */
    people: Array<Knocker>, }
  | { "type": "locked",
    /** Whether it is locked. */
    locked: boolean, }
  | { "type": "recording",
    /** The recording; none when it is over. */
    recording?: RecordingInfo,
    /** Why it is over, where nobody has ended it. */
    reason?: RecordingEnd, }
  | { "type": "egress",
    /** What, the oldest first; empty when nothing is sent any more. */
    sessions: Array<EgressInfo>, }
  | { "type": "screenshot",
    /** Who has asked for it. */
    by: MemberId,
    /** Whose. */
    member: MemberId,
    /** The camera, or the screen. */
    source: Source, }
  | { "type": "media",
    /** Whether it is up. */
    connected: boolean, }
  | { "type": "restart", }
  | { "type": "person",
    /** Who, as they are now. */
    person: PersonInfo, }
  | { "type": "person_gone",
    /** Who. */
    member: MemberId, }
  | { "type": "ringing",
    /** The call. */
    call: CallId,
    /** Who calls. */
    from: MemberId,
    /** The caller's name. */
    name: string,
    /** What with. */
    media: CallMedia,
    /** It rings for so long (milliseconds). */
    left_ms: number, }
  | { "type": "accepted",
    /** The call. */
    call: CallId,
    /** The other end. */
    with: MemberId,
    /** The other end's name. */
    name: string,
    /** What it was called with. */
    media: CallMedia,
    /** The room: fresh, and known to nobody else. */
    room: string,
    /** The token that admits there; none where the server asks for none. */
    token?: string, }
  | { "type": "call_over",
    /** Which. */
    call: CallId,
    /** Why. */
    reason: CallEnd, }
  | { "type": "bye",
    /** Why. */
    reason: ByeReason, };

/** Why somebody has gone. */
export type LeaveReason = "left" | "lost" | "kicked" | "replaced";

/** Why a recording is over that nobody has ended. */
export type RecordingEnd = "library_full" | "failed";

/** Why a session is over. */
export type ByeReason = "kicked" | "replaced" | "resumed" | "too_slow" | "shutting_down" | "ended";

/** How a member's media travels. */
export type Way = { "via": "nobody", }
  | { "via": "server", }
  | { "via": "direct",
    /** Names the direct connection: one of another name is another one. */
    session: string,
    /** The other end. */
    member: MemberId,
    /** Whether this end gives way when both have sent an offer, and waits for the first one. */
    polite: boolean, };

/** A STUN or TURN server, as `RTCIceServer` of W3C has it. */
export type IceServer = {
    /** Where it is: `stun:`, `turn:` and `turns:` URLs. */
    urls: Array<string>,
    /** The user name at a relay. */
    username?: string,
    /** The password at a relay. */
    credential?: string, };

/** How a room's media shall travel. */
export type Policy = "auto" | "p2p" | "sfu";

/** What the ends of a direct connection say to each other by way of the server, which does not look into it. */
export type Signal = { "kind": "offer",
    /** The session description. */
    sdp: string,
    /** What the sender's m-lines carry: all of it. */
    lines: Array<PublishLine>,
    /** Rises with each change of `lines`: what has a smaller one is older, whichever way it came. */
    revision: number, }
  | { "kind": "answer",
    /** The session description. */
    sdp: string,
    /** What the sender's m-lines carry: all of it. */
    lines: Array<PublishLine>,
    /** Rises with each change of `lines`: what has a smaller one is older, whichever way it came. */
    revision: number,
    /** The origin of the offer that it answers (RFC 8866 section 5.2), without its `o=`: an offer that was said twice is answered twice, and
     * another one must not be taken for answered. */
    origin?: string, }
  | { "kind": "candidate",
    /** The candidate attribute's value; empty for the end of candidates. */
    candidate: string,
    /** The m-line's mid. */
    mid: string,
    /** The user name fragment of the descriptions that it belongs to. */
    ufrag?: string, };

/** That a client can be connected with another one directly. */
export type DirectAbility = {
    /** The direct connection that it still has, made before its session was lost: it is kept when the other end comes with it, too. */
    held?: string, };

/** How a direct connection stands. */
export type DirectState = { "is": "up",
    /** The own candidate. */
    local: CandidateType,
    /** The other end's. */
    remote: CandidateType,
    /** What carries the media: to the relay, where there is one. */
    protocol: DirectProtocol, }
  | { "is": "failed", };

/** Types of candidates (RFC 8445, section 4). */
export type CandidateType = "host" | "srflx" | "prflx" | "relay";

/** What carries a direct connection's media. */
export type DirectProtocol = "udp" | "tcp" | "tls";

/** Names a call, from its first ring to its end. Only its two ends learn it. */
export type CallId = string;

/** What somebody wants to call with. Each end decides by itself what it publishes then. */
export type CallMedia = "voice" | "video";

/** Why somebody does not take a call. */
export type RejectReason = "declined" | "busy";

/** Why a call is over. */
export type CallEnd = "rejected" | "busy" | "cancelled" | "timed_out" | "gone" | "elsewhere" | "hung_up" | "unknown";

/** Somebody in a lobby. */
export type PersonInfo = {
    /** The identity. */
    member: MemberId,
    /** The name to show. */
    name: string,
    /** Whether they are in a call, are being called or are calling. */
    busy: boolean, };

/** A member's identity in its room: from the token's `sub`, or drawn by the server in development mode. */
export type MemberId = string;

/** A track's number, unique within the node. */
export type TrackNumber = number;

/** Where a track comes from. A member publishes at most one track of each source. */
export type Source = "microphone" | "camera" | "screen_audio" | "screen";

/** What a member may do. */
export type Grants = {
    /** The sources it may publish. */
    publish: Array<Source>,
    /** Whether it may receive the others' tracks. */
    subscribe: boolean,
    /** Whether it may read and write chat. */
    chat: boolean,
    /** Whether it may send data. Everybody receives it. */
    data: boolean,
    /** Whether it may kick, mute others and lock the room. */
    moderate: boolean,
    /** Whether it may have the room recorded. */
    record: boolean,
    /** What it may do with what is kept of the room. */
    library: LibraryGrant,
    /** Whether it may change its own metadata and attributes. */
    describe: boolean, };

/** What somebody may do with what is kept of a room: recordings, screenshots and uploads. */
export type LibraryGrant = "none" | "view" | "manage";

/** A recording that goes on. */
export type RecordingInfo = {
    /** Its identity. */
    recording: string,
    /** Who has begun it. */
    by: MemberId,
    /** When it began: milliseconds since the Unix epoch. */
    at: number,
    /** Who is recorded; empty for everybody. */
    members: Array<MemberId>,
    /** What of them is recorded. */
    sources: Array<Source>,
    /** Why nothing of it is written at present, or not all; what is said meanwhile is lost. None while it is written. */
    paused?: RecordingPause,
    /** Nobody who is in the room may end it: it ends with the call, or by whoever runs the service. */
    unattended?: boolean, };

/** Why nothing of a recording is written. It goes on by itself when the reason is gone. */
export type RecordingPause = "disk_full" | "disk_failed" | "disk_slow";

/** Something of the room that is sent to a server elsewhere. */
export type EgressInfo = {
    /** Its identity. */
    egress: string,
    /** Whose media. */
    member: MemberId,
    /** Whether it is the member's screen with its sound, and not its camera and microphone. */
    screen: boolean,
    /** The host that it is sent to. */
    host: string,
    /** Who has begun it. */
    by: MemberId,
    /** When it was begun: milliseconds since the Unix epoch. */
    at: number, };

/** A published track, as others see it. */
export type TrackInfo = {
    /** Its number. */
    track: TrackNumber,
    /** Where it comes from. */
    source: Source,
    /** Whether its publisher has muted it. */
    muted: boolean,
    /** Whether a moderator has muted it: nothing of it is forwarded until a moderator takes that back. */
    muted_by_moderator: boolean,
    /** Whether it is the fallback of the track of the same source. Only its publisher is told of it. */
    fallback?: boolean,
    /** Who alone may receive it; absent: everybody who may receive anything. */
    audience?: Array<MemberId>, };

/** A member, as others see it. */
export type MemberInfo = {
    /** Its identity. */
    member: MemberId,
    /** The name to show (at most 128 bytes). */
    name: string,
    /** Whether it may moderate. */
    moderator: boolean,
    /** Whether its socket is lost at the moment (its media may go on). */
    away: boolean,
    /** Its tracks. */
    tracks: Array<TrackInfo>,
    /** Its hand is raised: whoever has the smaller number has raised it before. */
    hand?: number,
    /** What the application says of it: the server does not look into it. */
    metadata?: string,
    /** The same by name. */
    attributes?: { [key in string]: string }, };

/** What a member shows for a moment. */
export type Reaction = "agree" | "disagree" | "applause" | "heart" | "laugh" | "surprise" | "celebrate";

/** Somebody who waits at the door of a locked room. */
export type Knocker = {
    /** The identity that it would have in the room. */
    member: MemberId,
    /** The name to show. */
    name: string, };

/** How much a picture matters beside the others, when not all can be had. Shared screens come first in any case. */
export type Priority = "low" | "normal" | "high";

/** What a member is sent of a track of video. */
export type TrackQuality = {
    /** Which track. */
    track: TrackNumber,
    /** How good it is. */
    level: QualityLevel,
    /** Why it is not better, if anything but the track itself stands against that. */
    limit?: QualityLimit, };

/** How good a picture is, of what its publisher can send. */
export type QualityLevel = "paused" | "low" | "medium" | "high";

/** What keeps a picture from being better. */
export type QualityLimit = "bandwidth" | "view" | "publisher" | "codec";

/** A codec of video, in the one form that every browser with that codec has: VP9 and AV1 of profile 0, H.264 of the constrained
     * baseline profile with packetization mode 1. */
export type VideoCodec = "vp8" | "h264" | "vp9" | "av1";

/** One line of chat. */
export type ChatMessage = {
    /** Its number in the room, from 1, without gaps. */
    number: number,
    /** Who said it. */
    member: MemberId,
    /** Their name at that time. */
    name: string,
    /** When the server took it: milliseconds since the Unix epoch. */
    at: number,
    /** What they said (at most 4 KiB). */
    text: string,
    /** The sender's own key for it, which makes sending it twice the same as once. */
    key?: string, };

/** What is sent, on the socket. */
export type DataPayload = { "text": string }
  | { "base64": string };

/** Why the server has closed a member's data channels. */
export type DataEnd = "too_slow" | "misuse";

//! Every message as it is written, kept as snapshots: a change of the protocol shows in review.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

fn member(name: &str) -> MemberInfo {
    MemberInfo {
        member: MemberId(name.into()),
        name: name.to_uppercase(),
        moderator: false,
        away: false,
        tracks: vec![track()],
        hand: None,
        metadata: String::new(),
        attributes: BTreeMap::new(),
    }
}

fn track() -> TrackInfo {
    TrackInfo { track: TrackNumber(7), source: Source::Camera, muted: false, muted_by_moderator: false, fallback: false, audience: None }
}

fn chat(key: Option<&str>) -> ChatMessage {
    ChatMessage {
        number: 3,
        member: MemberId("bob".into()),
        name: "BOB".into(),
        at: 1_700_000_000_000,
        text: "hello".into(),
        key: key.map(Into::into),
    }
}

fn slot() -> SlotPair {
    SlotPair { pair: 0, member: MemberId("bob".into()), screen: false, audio: Some(TrackNumber(6)), video: None }
}

fn line() -> PublishLine {
    PublishLine { mid: "0".into(), source: Source::Microphone, muted: false, fallback: false }
}

fn fallback_line() -> PublishLine {
    PublishLine { mid: "2".into(), source: Source::Camera, muted: false, fallback: true }
}

fn offer() -> Signal {
    Signal::Offer { sdp: "v=0\r\n".into(), lines: vec![line()], revision: 3 }
}

fn direct() -> Way {
    Way::Direct { session: "s.1".into(), member: MemberId("bob".into()), polite: true }
}

fn ring() -> CallId {
    CallId("c1".into())
}

fn person(name: &str, busy: bool) -> PersonInfo {
    PersonInfo { member: MemberId(name.into()), name: name.to_uppercase(), busy }
}

fn requests() -> Vec<Request> {
    let tracks = || vec![TrackNumber(7)];
    vec![
        Request::Hello { versions: vec![1], features: vec![] },
        Request::join("room", "Alice", Some("a.b.c".into())),
        Request::Join {
            room: "room".into(),
            name: String::new(),
            token: None,
            me: Some(MemberId("guest-1".into())),
            direct: Some(DirectAbility { held: Some("s.1".into()) }),
            knock: true,
            encrypted: true,
        },
        Request::Resume { resume: "1.secret".into(), seq: 12 },
        Request::Leave {},
        Request::Enter {
            lobby: "lobby".into(),
            name: "Alice".into(),
            token: Some("a.b.c".into()),
            me: Some(MemberId("guest-1".into())),
            call: Some(ring()),
        },
        Request::Call { to: MemberId("bob".into()), media: CallMedia::Video },
        Request::Accept { call: ring() },
        Request::Reject { call: ring(), reason: RejectReason::Busy },
        Request::Cancel { call: ring() },
        Request::HangUp { call: ring() },
        Request::Offer { sdp: "v=0\r\n".into(), publish: vec![line(), fallback_line()] },
        Request::Candidate { candidate: "candidate:1 1 udp 1 192.0.2.1 1 typ host".into(), mid: "0".into() },
        Request::Publish { line: line() },
        Request::Unpublish { track: TrackNumber(7) },
        Request::Mute { track: TrackNumber(7), muted: true },
        Request::Subscribe { tracks: tracks() },
        Request::Unsubscribe { tracks: tracks() },
        Request::View {
            tiles: vec![
                Tile { track: TrackNumber(7), width: 640, height: 360, priority: Priority::High },
                Tile { track: TrackNumber(8), width: 0, height: 0, priority: Priority::Normal },
            ],
        },
        Request::IceServers {},
        Request::Signal { session: "s.1".into(), signal: offer() },
        Request::Signal {
            session: "s.1".into(),
            signal: Signal::Answer { sdp: "v=0\r\n".into(), lines: vec![], revision: 1, origin: Some("- 7 2 IN IP4 127.0.0.1".into()) },
        },
        Request::Signal { session: "s.1".into(), signal: Signal::Candidate { candidate: String::new(), mid: "0".into(), ufrag: Some("u".into()) } },
        Request::Direct {
            session: "s.1".into(),
            state: DirectState::Up { local: CandidateType::Host, remote: CandidateType::Prflx, protocol: DirectProtocol::Udp },
        },
        Request::Direct { session: "s.1".into(), state: DirectState::Failed {} },
        Request::Release {},
        Request::Policy { policy: Policy::P2p },
        Request::Chat { text: "hello".into(), key: Some("k1".into()), echo: true },
        Request::History { before: Some(3), limit: 50 },
        Request::Data {
            topic: "cursor".into(),
            to: vec![MemberId("bob".into())],
            payload: DataPayload::Text("hi".into()),
            lossy: true,
            number: Some(7),
        },
        Request::Data { topic: String::new(), to: vec![], payload: DataPayload::Base64("AAE=".into()), lossy: false, number: None },
        Request::Hand { raised: true, member: None },
        Request::Hand { raised: false, member: Some(MemberId("bob".into())) },
        Request::React { reaction: Reaction::Applause },
        Request::Describe { metadata: Some("m".into()), attributes: Some([("role".to_owned(), "teacher".to_owned())].into()) },
        Request::Describe { metadata: None, attributes: None },
        Request::Audience { source: Source::Screen, members: Some(vec![MemberId("bob".into())]) },
        Request::Audience { source: Source::Screen, members: None },
        Request::Kick { member: MemberId("bob".into()) },
        Request::MuteMember { track: TrackNumber(7), muted: true },
        Request::MuteAll { source: Source::Microphone, muted: true },
        Request::Lock { locked: true },
        Request::Admit { member: MemberId("bob".into()), admitted: true },
        Request::Record { members: vec![MemberId("bob".into())], sources: vec![Source::Microphone] },
        Request::StopRecording {},
        Request::Screenshot { member: MemberId("bob".into()), source: Source::Camera },
        Request::Ping {},
    ]
}

fn egress() -> EgressInfo {
    let [member, by] = ["ann", "bob"].map(|name| MemberId(name.into()));
    EgressInfo { egress: "e1".into(), member, screen: false, host: "live.example.org".into(), by, at: 1_700_000_000_000 }
}

fn recording() -> RecordingInfo {
    RecordingInfo {
        recording: "r1".into(),
        by: MemberId("bob".into()),
        at: 1_700_000_000_000,
        members: vec![],
        sources: vec![Source::Camera],
        paused: None,
        unattended: false,
    }
}

fn knocker() -> Knocker {
    Knocker { member: MemberId("carol".into()), name: "CAROL".into() }
}

fn results() -> Vec<OkResult> {
    let limits = Limits {
        message_bytes: 65_536,
        offer_bytes: 524_288,
        mlines: 64,
        messages_per_second: 50,
        chat_bytes: 4_096,
        name_bytes: 128,
        data_bytes: 16_384,
        metadata_bytes: 1_024,
    };
    let grants = Grants {
        publish: Source::ALL.to_vec(),
        subscribe: true,
        chat: true,
        data: true,
        moderate: false,
        record: true,
        library: LibraryGrant::Manage,
        describe: true,
    };
    vec![
        OkResult::Welcome {
            version: 1,
            server: "althing/0".into(),
            limits,
            heartbeat_ms: 15_000,
            resume_ms: 60_000,
            features: WelcomeFeatures {
                development: false,
                direct: true,
                data: true,
                recording: true,
                relay: true,
                library: true,
                uploads: false,
                screenshots: true,
            },
        },
        OkResult::Joined {
            room: "room".into(),
            me: Box::new(member("alice")),
            grants: grants.clone(),
            resume: "1.secret".into(),
            pairs: 4,
            members: vec![MemberInfo { hand: Some(2), metadata: "m".into(), ..member("bob") }],
            speakers: vec![MemberId("bob".into())],
            chat: vec![chat(None)],
            locked: false,
            seq: 0,
            slots: vec![slot()],
            connection: false,
            way: Box::new(direct()),
            policy: Policy::Auto,
            recording: Some(Box::new(recording())),
            egress: vec![egress()],
            knocking: vec![knocker()],
            encrypted: true,
            metadata: "m".into(),
        },
        OkResult::Entered { lobby: "lobby".into(), me: person("alice", false), grants, people: vec![person("bob", true)] },
        OkResult::Calling { call: ring(), left_ms: 45_000 },
        OkResult::Answer {
            sdp: "v=0\r\n".into(),
            pairs: vec![
                PairMids { pair: 0, audio: Some("2".into()), video: Some("3".into()) },
                PairMids { pair: 1, audio: None, video: Some("4".into()) },
            ],
            published: vec![("1".into(), track()), ("2".into(), TrackInfo { track: TrackNumber(8), fallback: true, ..track() })],
        },
        OkResult::Published { track: track() },
        OkResult::IceServers {
            servers: vec![
                IceServer { urls: vec!["stun:192.0.2.7:40000".into()], username: None, credential: None },
                IceServer { urls: vec!["turn:192.0.2.8".into()], username: Some("1:u".into()), credential: Some("p".into()) },
            ],
            lifetime_ms: 3_600_000,
        },
        OkResult::Said { number: 3, at: 1_700_000_000_000 },
        OkResult::History { messages: vec![chat(Some("k1"))] },
        OkResult::Screenshot { item: "5f0c".into() },
    ]
}

fn events() -> Vec<Event> {
    let bob = || MemberId("bob".into());
    vec![
        Event::MemberJoined { member: member("bob") },
        Event::MemberLeft { member: bob(), reason: LeaveReason::Kicked },
        Event::MemberAway { member: bob(), away: true },
        Event::MemberChanged { member: MemberInfo { attributes: [("role".to_owned(), "teacher".to_owned())].into(), ..member("bob") } },
        Event::Granted { grants: Grants::default() },
        Event::Room { metadata: "m".into() },
        Event::Track { member: bob(), track: track() },
        Event::Track { member: bob(), track: TrackInfo { audience: Some(vec![bob()]), ..track() } },
        Event::TrackEnded { member: bob(), track: TrackNumber(7) },
        Event::Need { pairs: 8 },
        Event::Slots { slots: vec![slot()] },
        Event::Speakers { members: vec![bob()] },
        Event::Quality {
            tracks: vec![
                TrackQuality { track: TrackNumber(7), level: QualityLevel::High, limit: None },
                TrackQuality { track: TrackNumber(8), level: QualityLevel::Paused, limit: Some(QualityLimit::Bandwidth) },
            ],
        },
        Event::Demand { track: TrackNumber(7), rids: vec!["q".into(), "h".into()] },
        Event::Fallback { track: TrackNumber(7), codecs: vec![VideoCodec::Vp8, VideoCodec::H264, VideoCodec::Vp9, VideoCodec::Av1] },
        Event::Way { way: Way::Nobody {} },
        Event::Way { way: Way::Server {} },
        Event::Way { way: direct() },
        Event::Signal { session: "s.1".into(), signal: offer() },
        Event::Policy { policy: Policy::Sfu },
        Event::Chat { message: chat(None) },
        Event::Data { from: MemberId("bob".into()), topic: "cursor".into(), payload: DataPayload::Text("hi".into()) },
        Event::Data { from: MemberId("bob".into()), topic: String::new(), payload: DataPayload::Base64("AAE=".into()) },
        Event::DataClosed { reason: DataEnd::TooSlow },
        Event::Hand { member: bob(), hand: Some(3) },
        Event::Hand { member: bob(), hand: None },
        Event::Reaction { member: bob(), reaction: Reaction::Heart },
        Event::Knocking { people: vec![knocker()] },
        Event::Locked { locked: true },
        Event::Recording { recording: Some(recording()), reason: None },
        Event::Recording { recording: Some(RecordingInfo { paused: Some(RecordingPause::DiskFull), unattended: true, ..recording() }), reason: None },
        Event::Recording { recording: None, reason: None },
        Event::Recording { recording: None, reason: Some(RecordingEnd::LibraryFull) },
        Event::PublishExcess { track: TrackNumber(7), limit_kbps: 1_500, sent_kbps: 3_100, ended: true },
        Event::Egress { sessions: vec![egress()] },
        Event::Egress { sessions: vec![] },
        Event::Screenshot { by: MemberId("ada".into()), member: MemberId("bob".into()), source: Source::Screen },
        Event::Media { connected: true },
        Event::Restart {},
        Event::Draining { seconds: 30 },
        Event::Person { person: person("bob", true) },
        Event::PersonGone { member: bob() },
        Event::Ringing { call: ring(), from: bob(), name: "BOB".into(), media: CallMedia::Voice, left_ms: 45_000 },
        Event::Accepted {
            call: ring(),
            with: bob(),
            name: "BOB".into(),
            media: CallMedia::Video,
            room: "call-1".into(),
            token: Some("a.b.c".into()),
        },
        Event::CallOver { call: ring(), reason: CallEnd::TimedOut },
        Event::Bye { reason: ByeReason::TooSlow },
    ]
}

/// A line a message, each read back as what it was.
fn written<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(messages: impl IntoIterator<Item = T>) -> String {
    let line = |message: T| {
        let text = serde_json::to_string(&message).expect("can be written");
        assert_eq!(serde_json::from_str::<T>(&text).expect("can be read"), message);
        text
    };
    messages.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn name<T: Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).expect("a name")
}

#[test]
fn requests_are_written_so() {
    insta::assert_snapshot!(written((1..).zip(requests()).map(|(id, request)| ClientMessage { id, request })));
}

#[test]
fn answers_are_written_so() {
    let answers = (1..).zip(results()).map(|(id, result)| ServerMessage::Ok { id, result: Some(result) });
    let error = |id, code: ErrorCode| ServerMessage::Error { id, code, message: "why".into(), retryable: code.retryable() };
    let others = [ServerMessage::Ok { id: 9, result: None }, error(Some(10), ErrorCode::Locked), error(None, ErrorCode::Malformed)];
    insta::assert_snapshot!(written(answers.chain(others)));
}

#[test]
fn events_are_written_so() {
    insta::assert_snapshot!(written((1..).zip(events()).map(|(seq, event)| ServerMessage::Event { seq, event })));
}

#[test]
fn every_request_has_its_type_in_the_list_and_its_name() {
    let mut types: Vec<String> =
        requests().iter().map(|r| serde_json::to_value(r).expect("JSON")["type"].as_str().expect("a type").to_owned()).collect();
    let mut names: Vec<_> = requests().iter().map(Request::name).collect();
    types.dedup();
    names.dedup();
    assert_eq!(types, REQUEST_TYPES);
    assert_eq!(names, REQUEST_TYPES);
}

#[test]
fn every_kind_of_answer_and_event_has_a_snapshot() {
    // One more variant breaks these matches; whoever adds it adds it to the lists above too.
    let of = |r: &OkResult| match r {
        OkResult::Welcome { .. } | OkResult::Joined { .. } | OkResult::Answer { .. } => (),
        OkResult::Entered { .. } | OkResult::Calling { .. } => (),
        OkResult::Published { .. } | OkResult::IceServers { .. } | OkResult::Said { .. } | OkResult::History { .. } => (),
        OkResult::Screenshot { .. } => (),
    };
    results().iter().for_each(of);
    let kinds = |values: &[serde_json::Value], key: &str| values.iter().map(|v| v[key].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!(kinds(&results().iter().map(|r| serde_json::to_value(r).expect("JSON")).collect::<Vec<_>>(), "of"), 10);
    assert_eq!(kinds(&events().iter().map(|e| serde_json::to_value(e).expect("JSON")).collect::<Vec<_>>(), "type"), 37);
}

#[test]
fn an_error_codes_name_is_the_one_that_is_written() {
    for code in
        [ErrorCode::Malformed, ErrorCode::TokenWrongRoom, ErrorCode::SdpTooManyMlines, ErrorCode::SdpIce, ErrorCode::Busy, ErrorCode::Internal]
    {
        assert_eq!(name(code), code.name());
    }
}

#[test]
fn what_may_be_left_out_may_be_left_out() {
    for text in [
        r#"{"id":1,"type":"hello","versions":[1]}"#,
        r#"{"id":1,"type":"join","room":"r"}"#,
        r#"{"id":1,"type":"enter","lobby":"l"}"#,
        r#"{"id":1,"type":"reject","call":"c"}"#,
        r#"{"id":1,"type":"offer","sdp":""}"#,
        r#"{"id":1,"type":"candidate","candidate":""}"#,
        r#"{"id":1,"type":"publish","mid":"0","source":"camera"}"#,
        r#"{"id":1,"type":"view","tiles":[{"track":1,"width":1,"height":1}]}"#,
        r#"{"id":1,"type":"chat","text":"x"}"#,
        r#"{"id":1,"type":"history","limit":1}"#,
        r#"{"id":1,"type":"record"}"#,
    ] {
        assert!(serde_json::from_str::<ClientMessage>(text).is_ok(), "{text}");
    }
}

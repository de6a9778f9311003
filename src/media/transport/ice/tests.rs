use super::*;
use proptest::prelude::*;
use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::*;
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::*;
use rtc_stun::uattrs::UnknownAttributes;
use rtc_stun::xoraddr::XorMappedAddress;

fn credentials(generation: u8) -> IceCredentials {
    IceCredentials {
        local_ufrag: format!("ours{generation}"),
        local_pwd: format!("our password of 24 char{generation}"),
        remote_ufrag: format!("peer{generation}"),
        remote_pwd: "never looked at".into(),
    }
}

fn path(port: u16) -> Path {
    Path { local: 0, remote: ([192, 0, 2, 1], port).into() }
}

/// A check as a browser sends it; `after` stands behind MESSAGE-INTEGRITY.
struct Check<'a> {
    username: String,
    password: Option<String>,
    before: &'a [(AttrType, &'a [u8])],
    after: &'a [(AttrType, &'a [u8])],
    fingerprint: bool,
}

const NOMINATE: &[(AttrType, &[u8])] = &[(ATTR_USE_CANDIDATE, &[])];
const CONTROLLING: AttrType = AttrType(0x802a);

impl<'a> Check<'a> {
    fn of(credentials: &IceCredentials) -> Self {
        Self {
            username: format!("{}:{}", credentials.local_ufrag, credentials.remote_ufrag),
            password: Some(credentials.local_pwd.clone()),
            before: &[],
            after: &[],
            fingerprint: true,
        }
    }

    fn nominating(credentials: &IceCredentials) -> Self {
        Self { before: NOMINATE, ..Self::of(credentials) }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut message = Message::new();
        message.typ = BINDING_REQUEST;
        message.transaction_id = TransactionId(*b"twelve bytes");
        message.write_header();
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_PRIORITY, &[0, 0, 1, 0]);
        message.add(CONTROLLING, &[1; 8]);
        message.add(AttrType(0xc057), &[0, 1, 0, 10]);
        for (kind, value) in self.before {
            message.add(*kind, value);
        }
        if let Some(password) = &self.password {
            MessageIntegrity::new_short_term_integrity_with_provider(password.clone(), &AwsLcRsCrypto).add_to(&mut message).unwrap();
        }
        for (kind, value) in self.after {
            message.add(*kind, value);
        }
        if self.fingerprint {
            FINGERPRINT.add_to(&mut message).unwrap();
        }
        message.raw
    }
}

fn agent() -> IceLite {
    IceLite::new(credentials(1))
}

fn ask(ice: &mut IceLite, millis: u64, path: Path, check: &Check) -> Result<IceAnswer, StunDrop> {
    ice.handle_request(Time::from_millis(millis), path, &check.bytes(), &mut [0; MAX_ANSWER_LEN])
}

/// The answer, read and verified by the library.
fn answer(ice: &mut IceLite, path: Path, check: &Check) -> (IceAnswer, Message) {
    let mut out = [0; MAX_ANSWER_LEN];
    let result = ice.handle_request(Time::ZERO, path, &check.bytes(), &mut out).unwrap();
    let mut message = Message::new();
    message.unmarshal_binary(&out[..result.len]).unwrap();
    MessageIntegrity::check(&mut message, credentials(1).local_pwd.as_bytes(), &AwsLcRsCrypto).unwrap();
    FINGERPRINT.check(&message).unwrap();
    assert_eq!(message.attributes.0.last().unwrap().typ, ATTR_FINGERPRINT);
    assert_eq!(message.transaction_id.0, *b"twelve bytes");
    (result, message)
}

fn error_code(message: &Message) -> u16 {
    let mut error = ErrorCodeAttribute::default();
    error.get_from(message).unwrap();
    error.code.0
}

#[test]
fn a_check_is_answered_with_the_address_it_came_from() {
    for (remote, seen) in [("192.0.2.1:9", "192.0.2.1:9"), ("[2001:db8::1]:9", "[2001:db8::1]:9"), ("[::ffff:192.0.2.1]:9", "192.0.2.1:9")] {
        let from = Path { local: 3, remote: remote.parse().unwrap() };
        let (result, message) = answer(&mut agent(), from, &Check::of(&credentials(1)));
        assert_eq!(message.typ, BINDING_SUCCESS);
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&message).unwrap();
        assert_eq!((mapped.ip, mapped.port), {
            let seen: std::net::SocketAddr = seen.parse().unwrap();
            (seen.ip(), seen.port())
        });
        assert_eq!(result, IceAnswer { len: result.len, validated: true, ..IceAnswer::default() });
    }
}

#[test]
fn an_answer_is_not_much_larger_than_the_request() {
    let request = Check::of(&credentials(1)).bytes().len();
    let (v4, _) = answer(&mut agent(), path(1), &Check::of(&credentials(1)));
    assert!(v4.len * 10 <= request * 16);
    let (v6, _) = answer(&mut agent(), Path { local: 0, remote: "[2001:db8::1]:9".parse().unwrap() }, &Check::of(&credentials(1)));
    assert!(v6.len * 10 <= request * 22);
}

#[test]
fn a_check_validates_its_path_once_and_nomination_selects_it() {
    let mut ice = agent();
    assert_eq!((ice.selected(), ice.may_send(), ice.is_validated(path(1))), (None, false, false));
    assert!(ask(&mut ice, 0, path(1), &Check::of(&credentials(1))).unwrap().validated);
    assert!(!ask(&mut ice, 1, path(1), &Check::of(&credentials(1))).unwrap().validated);
    assert!(ice.is_validated(path(1)) && !ice.is_validated(path(2)) && ice.may_send());
    assert!(!ice.is_validated(Path { local: 1, ..path(1) }), "another socket is another path");
    assert!(ask(&mut ice, 2, path(2), &Check::of(&credentials(1))).unwrap().validated);
    assert!(ask(&mut ice, 3, path(1), &Check::nominating(&credentials(1))).unwrap().nominated);
    assert!(!ask(&mut ice, 4, path(1), &Check::nominating(&credentials(1))).unwrap().nominated, "it was selected already");
    assert_eq!(ice.selected(), Some(path(1)));
    assert!(ask(&mut ice, 5, path(2), &Check::nominating(&credentials(1))).unwrap().nominated);
    assert_eq!(ice.selected(), Some(path(2)));
}

#[test]
fn before_nomination_the_path_on_which_dtls_arrived_is_selected() {
    let mut ice = agent();
    for port in [1, 2, 3] {
        ask(&mut ice, u64::from(port), path(port), &Check::of(&credentials(1))).unwrap();
    }
    assert_eq!(ice.selected(), Some(path(3)));
    ice.prefer(path(2));
    assert_eq!(ice.selected(), Some(path(2)));
    ice.prefer(path(9));
    assert_eq!(ice.selected(), Some(path(2)), "never validated");
    ask(&mut ice, 4, path(1), &Check::nominating(&credentials(1))).unwrap();
    ice.prefer(path(2));
    assert_eq!(ice.selected(), Some(path(1)), "nominated");
}

#[test]
fn a_known_user_without_integrity_or_with_a_wrong_one_is_dropped_and_changes_nothing() {
    let mut ice = agent();
    for password in [None, Some(String::new()), Some("another".into())] {
        let check = Check { password, before: NOMINATE, ..Check::of(&credentials(1)) };
        assert_eq!(peek_username(&check.bytes()), Ok("ours1"));
        assert_eq!(ask(&mut ice, 0, path(1), &check), Err(StunDrop::BadIntegrity));
    }
    assert_eq!((ice.selected(), ice.may_send(), ice.consent_deadline()), (None, false, None));
}

#[test]
fn a_user_name_that_is_not_ours_is_dropped() {
    let mut ice = agent();
    for username in ["ours2:peer1", "ours1:peer2", "ours1:", ":peer1", "ours1:peer1:x", "peer1:ours1", "OURS1:peer1"] {
        let check = Check { username: username.into(), ..Check::of(&credentials(1)) };
        assert_eq!(ask(&mut ice, 0, path(1), &check), Err(StunDrop::UnknownUser), "{username}");
    }
    for username in ["", "ours1", "ours1peer1"] {
        let check = Check { username: username.into(), ..Check::of(&credentials(1)) };
        assert_eq!(peek_username(&check.bytes()), Err(StunDrop::Malformed));
        assert_eq!(ask(&mut ice, 0, path(1), &check), Err(StunDrop::Malformed), "{username}");
    }
    assert_eq!(ice.consent_deadline(), None);
}

#[test]
fn a_request_cut_at_any_length_or_lengthened_is_malformed() {
    let bytes = Check::of(&credentials(1)).bytes();
    for len in 0..bytes.len() {
        assert_eq!(peek_username(&bytes[..len]), Err(StunDrop::Malformed));
        let mut cut = bytes[..len].to_vec();
        if let Some(field) = cut.get_mut(2..4) {
            field.copy_from_slice(&(len.saturating_sub(20) as u16).to_be_bytes());
        }
        let result = agent().handle_request(Time::ZERO, path(1), &cut, &mut [0; MAX_ANSWER_LEN]);
        // Cut right after USERNAME and the like it is a well-formed request without (or, last, with) its integrity.
        let whole = result.is_ok() && len == bytes.len() - 8;
        assert!(whole || matches!(result, Err(StunDrop::Malformed | StunDrop::BadIntegrity)), "{len}: {result:?}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(peek_username(&longer), Err(StunDrop::Malformed));
}

#[test]
fn other_messages_than_binding_requests_are_malformed() {
    let bytes = Check::of(&credentials(1)).bytes();
    for kind in [0x0101u16, 0x0111, 0x0011, 0x0003] {
        let mut other = bytes.clone();
        other[..2].copy_from_slice(&kind.to_be_bytes());
        assert_eq!(peek_username(&other), Err(StunDrop::Malformed));
    }
    let mut old = bytes.clone();
    old[4] = 0;
    assert_eq!(peek_username(&old), Err(StunDrop::Malformed), "no magic cookie");
}

#[test]
fn a_wrong_fingerprint_is_malformed_and_none_is_accepted() {
    let mut bytes = Check::of(&credentials(1)).bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(agent().handle_request(Time::ZERO, path(1), &bytes, &mut [0; MAX_ANSWER_LEN]), Err(StunDrop::Malformed));
    assert!(ask(&mut agent(), 0, path(1), &Check { fingerprint: false, ..Check::of(&credentials(1)) }).is_ok());
}

#[test]
fn a_peer_that_claims_our_role_gets_487_and_nothing_else_happens() {
    let mut ice = agent();
    let check = Check { before: &[(ATTR_ICE_CONTROLLED, &[1; 8]), (ATTR_USE_CANDIDATE, &[])], ..Check::of(&credentials(1)) };
    let (result, message) = answer(&mut ice, path(1), &check);
    assert_eq!(result, IceAnswer { len: result.len, role_conflict: true, ..IceAnswer::default() });
    assert_eq!((message.typ, error_code(&message)), (BINDING_ERROR, 487));
    assert_eq!((ice.selected(), ice.may_send()), (None, false));
}

#[test]
fn attributes_that_must_be_understood_and_are_not_get_420_with_their_names() {
    let mut ice = agent();
    let strange: Vec<(AttrType, &[u8])> = (0x0030..0x0060).map(|kind| (AttrType(kind), &[1u8, 2, 3][..])).collect();
    for (before, named) in [(&strange[..1], 1), (&strange[..], 8)] {
        let (result, message) = answer(&mut ice, path(1), &Check { before, ..Check::of(&credentials(1)) });
        assert_eq!((message.typ, error_code(&message)), (BINDING_ERROR, 420));
        let mut unknown = UnknownAttributes(vec![]);
        unknown.get_from(&message).unwrap();
        assert_eq!(unknown.0, strange[..named].iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
        assert!(!result.validated && !ice.may_send());
    }
}

#[test]
fn what_stands_after_the_integrity_does_not_count() {
    let mut ice = agent();
    let check = Check { after: &[(ATTR_USE_CANDIDATE, &[]), (ATTR_ICE_CONTROLLED, &[1; 8])], ..Check::of(&credentials(1)) };
    let result = ask(&mut ice, 0, path(1), &check).unwrap();
    assert_eq!(result, IceAnswer { len: result.len, validated: true, ..IceAnswer::default() });
}

#[test]
fn after_a_restart_the_old_credentials_answer_until_a_pair_is_nominated_with_the_new_ones() {
    let mut ice = agent();
    ask(&mut ice, 0, path(1), &Check::nominating(&credentials(1))).unwrap();
    ice.restart(credentials(2));
    assert_eq!(ice.local_ufrags().collect::<Vec<_>>(), ["ours2", "ours1"]);
    assert!(ask(&mut ice, 1, path(1), &Check::nominating(&credentials(1))).is_ok());
    assert!(ask(&mut ice, 2, path(2), &Check::of(&credentials(2))).is_ok());
    assert_eq!(ice.selected(), Some(path(1)), "validated is not nominated");
    assert!(ask(&mut ice, 3, path(1), &Check::of(&credentials(1))).is_ok());
    let crossed = Check { username: "ours1:peer2".into(), ..Check::of(&credentials(1)) };
    assert_eq!(ask(&mut ice, 3, path(1), &crossed), Err(StunDrop::UnknownUser));
    assert!(ask(&mut ice, 4, path(2), &Check::nominating(&credentials(2))).unwrap().nominated);
    assert_eq!(ice.local_ufrags().collect::<Vec<_>>(), ["ours2"]);
    assert_eq!(ask(&mut ice, 5, path(1), &Check::nominating(&credentials(1))), Err(StunDrop::UnknownUser));
    assert_eq!(ice.selected(), Some(path(2)));
}

/// An agent whose pair 1 was nominated at 1 s and that has known pair 2 since.
fn with_two_paths() -> IceLite {
    let mut ice = agent();
    ask(&mut ice, 1_000, path(1), &Check::nominating(&credentials(1))).unwrap();
    ask(&mut ice, 1_000, path(2), &Check::of(&credentials(1))).unwrap();
    ice
}

#[test]
fn a_nominated_path_that_is_silent_is_left_for_one_that_is_checked_and_the_next_nomination_counts() {
    let mut ice = with_two_paths();
    assert!(!ask(&mut ice, 2_499, path(2), &Check::of(&credentials(1))).unwrap().nominated);
    assert_eq!(ice.selected(), Some(path(1)), "not silent for long");
    let followed = ask(&mut ice, 2_500, path(2), &Check::of(&credentials(1))).unwrap();
    assert!(followed.nominated && !followed.validated);
    assert_eq!(ice.selected(), Some(path(2)));
    // Another one is not followed at once: the new path has just been heard.
    assert!(!ask(&mut ice, 2_600, path(3), &Check::of(&credentials(1))).unwrap().nominated);
    assert!(ask(&mut ice, 2_700, path(1), &Check::nominating(&credentials(1))).unwrap().nominated);
    assert_eq!(ice.selected(), Some(path(1)), "the peer has the last word");
    assert!(ask(&mut ice, 4_200, path(3), &Check::of(&credentials(1))).unwrap().nominated, "one that is new, too");
}

#[test]
fn a_path_on_which_checks_or_packets_come_is_not_left() {
    for kept in [0, 1] {
        let mut ice = with_two_paths();
        for millis in (1_500..20_000).step_by(1_000) {
            if kept == 0 {
                ask(&mut ice, millis, path(1), &Check::of(&credentials(1))).unwrap();
            } else {
                ice.heard(Time::from_millis(millis), path(1));
            }
            assert!(!ask(&mut ice, millis + 999, path(2), &Check::of(&credentials(1))).unwrap().nominated);
        }
        assert_eq!(ice.selected(), Some(path(1)));
        // What comes on another path says nothing of this one.
        ice.heard(Time::from_millis(21_400), path(2));
        assert!(ask(&mut ice, 21_500, path(2), &Check::of(&credentials(1))).unwrap().nominated);
    }
}

#[test]
fn nobody_moves_a_silent_path_without_the_newest_password() {
    let mut ice = with_two_paths();
    ice.restart(credentials(2));
    for password in [None, Some(String::new()), Some("another".into())] {
        assert!(ask(&mut ice, 30_000, path(9), &Check { password, ..Check::of(&credentials(2)) }).is_err());
    }
    assert!(!ask(&mut ice, 30_000, path(9), &Check::of(&credentials(1))).unwrap().nominated, "of the generation before");
    let role = Check { before: &[(ATTR_ICE_CONTROLLED, &[1; 8])], ..Check::of(&credentials(2)) };
    assert!(ask(&mut ice, 30_000, path(9), &role).unwrap().role_conflict);
    assert_eq!(ice.selected(), Some(path(1)));
    assert!(ask(&mut ice, 30_000, path(8), &Check::of(&credentials(2))).unwrap().nominated);
    assert_eq!(ice.selected(), Some(path(8)));
    assert_eq!(ice.local_ufrags().collect::<Vec<_>>(), ["ours2", "ours1"], "nothing is nominated with the new ones yet");
}

#[test]
fn restart_upon_restart_keeps_the_credentials_that_work_and_is_bounded() {
    let mut ice = agent();
    ask(&mut ice, 0, path(1), &Check::nominating(&credentials(1))).unwrap();
    for generation in 2..100 {
        ice.restart(credentials(generation));
    }
    assert_eq!(ice.local_ufrags().collect::<Vec<_>>(), ["ours99", "ours98", "ours97", "ours1"]);
    assert!(ask(&mut ice, 1, path(1), &Check::of(&credentials(1))).is_ok());
}

#[test]
fn consent_ends_thirty_seconds_after_the_last_check_and_comes_back_with_the_next() {
    let mut ice = agent();
    assert_eq!(ice.handle_timeout(Time::from_millis(1_000_000)), None);
    ask(&mut ice, 1_000, path(1), &Check::nominating(&credentials(1))).unwrap();
    ask(&mut ice, 5_000, path(1), &Check::of(&credentials(1))).unwrap();
    assert_eq!(ice.consent_deadline(), Some(Time::from_millis(35_000)));
    assert_eq!(ice.handle_timeout(Time::from_millis(34_999)), None);
    assert!(ice.may_send());
    assert_eq!(ice.handle_timeout(Time::from_millis(35_000)), Some(ConsentLost));
    assert_eq!(ice.handle_timeout(Time::from_millis(36_000)), None, "said once");
    assert!(!ice.may_send() && !ice.is_validated(path(1)));
    assert_eq!((ice.selected(), ice.consent_deadline()), (None, None));

    let bad = Check { password: None, ..Check::of(&credentials(1)) };
    assert!(ask(&mut ice, 40_000, path(2), &bad).is_err() && !ice.may_send());
    let result = ask(&mut ice, 40_000, path(2), &Check::of(&credentials(1))).unwrap();
    assert!(result.reconnected && result.validated && ice.may_send());
    assert_eq!(ice.selected(), Some(path(2)));
    assert!(!ask(&mut ice, 41_000, path(2), &Check::of(&credentials(1))).unwrap().reconnected);
}

#[test]
fn the_consent_lifetime_is_a_setting() {
    let mut ice = agent().with_consent_lifetime(Duration::from_secs(5));
    ask(&mut ice, 0, path(1), &Check::of(&credentials(1))).unwrap();
    assert_eq!(ice.handle_timeout(Time::from_millis(5_000)), Some(ConsentLost));
}

#[test]
fn a_thousand_paths_do_not_grow_memory_and_never_push_out_the_selected_one() {
    let mut ice = agent();
    ask(&mut ice, 0, path(1), &Check::nominating(&credentials(1))).unwrap();
    for port in 2..1_002 {
        assert!(ask(&mut ice, u64::from(port), path(port), &Check::of(&credentials(1))).unwrap().validated);
    }
    assert_eq!(ice.validated.len(), MAX_PATHS);
    assert!(ice.validated.capacity() <= 2 * MAX_PATHS);
    assert_eq!(ice.selected(), Some(path(1)));
    assert!(ice.is_validated(path(1)) && ice.is_validated(path(1_001)) && !ice.is_validated(path(2)));
}

#[test]
fn a_small_buffer_gets_no_answer_and_no_panic() {
    for len in 0..MAX_ANSWER_LEN {
        let result = agent().handle_request(Time::ZERO, path(1), &Check::of(&credentials(1)).bytes(), &mut vec![0; len]).unwrap();
        assert!(result.len <= len);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(peek_username(&bytes).is_err() || bytes.len() >= 20);
        prop_assert!(agent().handle_request(Time::ZERO, path(1), &bytes, &mut [0; MAX_ANSWER_LEN]).is_err());
    }

    #[test]
    fn a_request_with_bytes_changed_is_never_accepted(changes in proptest::collection::vec((0usize..120, 1u8..=255), 1..5)) {
        let mut bytes = Check { fingerprint: false, ..Check::of(&credentials(1)) }.bytes();
        let original = bytes.clone();
        for (at, flip) in changes {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        prop_assume!(bytes != original);
        prop_assert!(agent().handle_request(Time::ZERO, path(1), &bytes, &mut [0; MAX_ANSWER_LEN]).is_err());
    }
}

use proptest::prelude::*;

use super::*;
use crate::media::transport::ice::{CONSENT_LIFETIME, MAX_ANSWER_LEN};

/// Credentials as one side has them, or as the other has.
fn credentials(ours: bool) -> IceCredentials {
    let (a, b) = (("ours".to_owned(), "o".repeat(24)), ("theirs".to_owned(), "t".repeat(24)));
    let ((local_ufrag, local_pwd), (remote_ufrag, remote_pwd)) = if ours { (a, b) } else { (b, a) };
    IceCredentials { local_ufrag, local_pwd, remote_ufrag, remote_pwd }
}

fn path(port: u16) -> Path {
    Path { local: 0, remote: ([192, 0, 2, 1], port).into() }
}

/// Where the other side sees a check of ours come from.
const OURS: u16 = 7;

/// An agent that checks.
struct Agent {
    ice: IceLite,
    checks: IceChecks,
    random: Random,
    sent: Vec<(Time, Path, bool)>,
}

impl Agent {
    fn new(ours: bool, tie_breaker: u64, ports: &[u16]) -> Self {
        let checks = IceChecks::new(Time::ZERO, credentials(ours), tie_breaker, ports.iter().map(|port| path(*port)));
        Self { ice: IceLite::new(credentials(ours)), checks, random: Random::new(tie_breaker), sent: Vec::new() }
    }

    /// The checks that are due now.
    fn due(&mut self, now: Time) -> Vec<(Path, Vec<u8>)> {
        let mut out = [0; MAX_CHECK_LEN];
        let mut all = Vec::new();
        while let Some((path, len)) = self.checks.poll(now, &mut self.random, &mut out) {
            let nominates = stun_has(&out[..len], 0x25);
            self.sent.push((now, path, nominates));
            all.push((path, out[..len].to_vec()));
        }
        all
    }

    fn answer(&mut self, now: Time, path: Path, check: &[u8]) -> Vec<u8> {
        let mut out = [0; MAX_ANSWER_LEN];
        let answer = self.checks.handle_request(now, path, check, &mut self.ice, &mut out);
        answer.map_or_else(|_| Vec::new(), |(answer, _)| out[..answer.len].to_vec())
    }

    fn hear(&mut self, now: Time, path: Path, answer: &[u8]) -> Result<Checked, StunDrop> {
        self.checks.handle_answer(now, path, answer, &mut self.ice)
    }
}

fn stun_has(message: &[u8], kind: u16) -> bool {
    crate::base::stun::StunView::of(message).expect("a message").find(kind).is_some()
}

/// What a server that is lite answers.
fn lite_answer(server: &mut IceLite, now: Time, check: &[u8]) -> (IceAnswer, Vec<u8>) {
    let mut out = [0; MAX_ANSWER_LEN];
    let answer = server.handle_request(now, path(OURS), check, &mut out).expect("it is ours");
    (answer, out[..answer.len].to_vec())
}

/// Lets an agent talk to a lite server that is reached at these ports; which datagrams are lost is up to `lost`.
fn talk(agent: &mut Agent, server: &mut IceLite, reached: &[u16], span: Duration, mut lost: impl FnMut() -> bool) -> Time {
    let mut now = Time::ZERO;
    while now < Time::ZERO + span {
        now = agent.checks.next_due().max(now + Duration::from_millis(1));
        for (to, check) in agent.due(now) {
            if !reached.contains(&to.remote.port()) || lost() {
                continue;
            }
            let (_, answer) = lite_answer(server, now, &check);
            if !lost() {
                agent.hear(now, to, &answer).expect("an answer to what was asked");
            }
        }
        if agent.ice.selected().is_some() && agent.checks.nominated {
            return now;
        }
    }
    now
}

#[test]
fn the_first_pair_that_answers_is_nominated_and_used() {
    let (mut agent, mut server) = (Agent::new(true, 1, &[1, 2, 3]), IceLite::new(credentials(false)));
    let done = talk(&mut agent, &mut server, &[3], Duration::from_secs(2), || false);
    assert_eq!((agent.ice.selected(), agent.ice.may_send()), (Some(path(3)), true));
    assert_eq!(server.selected(), Some(path(OURS)), "and the other side knows");
    let sent: Vec<_> = agent.sent.iter().map(|(_, path, nominates)| (path.remote.port(), *nominates)).collect();
    assert_eq!(sent, [(1, false), (2, false), (3, false), (3, true)], "one after the other, as they are preferred");
    assert!(done.micros_since(Time::ZERO) < 200_000, "{done:?}");
}

#[test]
fn checks_that_are_lost_are_repeated() {
    for seed in 1..=40 {
        let (mut agent, mut server) = (Agent::new(true, seed, &[1]), IceLite::new(credentials(false)));
        let mut random = Random::new(seed);
        talk(&mut agent, &mut server, &[1], Duration::from_secs(20), || random.next_u64().is_multiple_of(4));
        assert_eq!(agent.ice.selected(), Some(path(1)), "seed {seed}");
    }
}

#[test]
fn a_way_that_nobody_answers_on_is_given_up_and_that_is_said_once() {
    let (mut agent, mut server) = (Agent::new(true, 1, &[1, 2]), IceLite::new(credentials(false)));
    talk(&mut agent, &mut server, &[], Duration::from_secs(30), || false);
    let first: Vec<_> = agent.sent.iter().filter(|(_, to, _)| *to == path(1)).map(|(at, ..)| at.micros_since(Time::ZERO) / 1_000).collect();
    assert_eq!(first, [1, 501, 1_501, 3_501, 5_501, 7_501], "each wait is twice the one before, up to two seconds");
    assert_eq!(agent.sent.len(), 2 * usize::from(TRIES));
    assert!(agent.checks.poll_failed());
    assert!(!agent.checks.poll_failed());
    assert_eq!(agent.checks.next_due(), Time::NEVER);
}

#[test]
fn a_nominated_pair_that_dies_before_it_is_confirmed_makes_way_for_the_next() {
    let (mut agent, mut server) = (Agent::new(true, 1, &[1, 2]), IceLite::new(credentials(false)));
    let mut now = Time::ZERO;
    for _ in 0..30_000 {
        now = now + Duration::from_millis(1);
        for (to, check) in agent.due(now) {
            if to == path(1) && stun_has(&check, 0x25) {
                continue;
            }
            let (_, answer) = lite_answer(&mut server, now, &check);
            agent.hear(now, to, &answer).expect("an answer");
        }
    }
    assert_eq!(agent.ice.selected(), Some(path(2)));
}

#[test]
fn of_two_agents_that_both_want_to_control_the_one_with_the_larger_number_does() {
    for (ours, theirs) in [(9, 5), (5, 9), (7, 7)] {
        let (mut a, mut b) = (Agent::new(true, ours, &[1]), Agent::new(false, theirs, &[OURS]));
        let mut now = Time::ZERO;
        for _ in 0..3_000 {
            now = now + Duration::from_millis(1);
            for (to, check) in a.due(now) {
                let answer = b.answer(now, path(OURS), &check);
                let _ = a.hear(now, to, &answer);
            }
            for (to, check) in b.due(now) {
                let answer = a.answer(now, path(1), &check);
                let _ = b.hear(now, to, &answer);
            }
        }
        assert_eq!((a.ice.selected(), b.ice.selected()), (Some(path(1)), Some(path(OURS))), "{ours} {theirs}");
        assert_ne!(a.checks.role, b.checks.role, "{ours} {theirs}");
        if ours != theirs {
            assert_eq!(a.checks.role == Role::Controlling, ours > theirs);
        }
    }
}

#[test]
fn roles_do_not_change_without_end() {
    let mut agent = Agent::new(true, 1, &[1]);
    let mut now = Time::ZERO;
    for _ in 0..10_000 {
        now = now + Duration::from_millis(1);
        for (to, check) in agent.due(now) {
            let conflict = Request::authenticate(&check, &credentials(false).local_pwd).expect("a check");
            let mut out = [0; MAX_ANSWER_LEN];
            let len = conflict.role_conflict(&credentials(false).local_pwd, &mut out);
            agent.hear(now, to, &out[..len]).expect("an answer");
        }
    }
    assert_eq!(agent.sent.len(), usize::from(MOST_CHANGES) + 1);
    assert!(agent.checks.poll_failed());
}

#[test]
fn what_nobody_has_asked_for_changes_nothing() {
    let (mut agent, mut server) = (Agent::new(true, 1, &[1]), IceLite::new(credentials(false)));
    let now = Time::from_millis(1);
    let [(to, check)] = &agent.due(now)[..] else { panic!("one check") };
    let (_, answer) = lite_answer(&mut server, now, check);
    assert_eq!(agent.hear(now, path(2), &answer), Err(StunDrop::UnknownUser), "from elsewhere");
    let mut other = answer.clone();
    other[9] ^= 1;
    assert_eq!(agent.hear(now, *to, &other), Err(StunDrop::UnknownUser), "to another question");
    let mut forged = IceLite::new(IceCredentials { local_pwd: "x".repeat(24), ..credentials(false) });
    assert!(forged.handle_request(now, path(OURS), check, &mut [0; MAX_ANSWER_LEN]).is_err());
    let request = Request::authenticate(check, &credentials(false).local_pwd).expect("a check");
    let mut out = [0; MAX_ANSWER_LEN];
    let len = request.success("another password of 24", path(OURS).remote, &mut out);
    assert_eq!(agent.hear(now, *to, &out[..len]), Err(StunDrop::BadIntegrity), "by somebody else");
    assert_eq!((agent.ice.selected(), agent.ice.may_send()), (None, false));
    assert!(agent.hear(now, *to, &answer).is_ok());
    assert_eq!(agent.hear(now, *to, &answer), Err(StunDrop::UnknownUser), "twice");
}

#[test]
fn consent_is_asked_for_and_ends_when_nobody_answers() {
    let (mut agent, mut server) = (Agent::new(true, 1, &[1]), IceLite::new(credentials(false)));
    let connected = talk(&mut agent, &mut server, &[1], Duration::from_secs(1), || false);
    agent.sent.clear();
    let mut now = connected;
    let answers_until = now + Duration::from_secs(100);
    let mut lost = None;
    while lost.is_none() {
        let next = [agent.checks.next_due(), agent.ice.consent_deadline().unwrap_or(Time::NEVER)].into_iter().min().unwrap_or(Time::NEVER);
        now = next.max(now + Duration::from_millis(1));
        for (to, check) in agent.due(now) {
            if now < answers_until {
                let (_, answer) = lite_answer(&mut server, now, &check);
                agent.hear(now, to, &answer).expect("an answer");
            }
        }
        lost = agent.ice.handle_timeout(now);
        assert!(now < Time::from_millis(200_000), "it ends");
    }
    let waits: Vec<_> = agent.sent.windows(2).map(|pair| pair[1].0.micros_since(pair[0].0) / 1_000).collect();
    assert!(waits.iter().all(|wait| (4_000..=6_001).contains(wait)), "{waits:?}");
    assert!(waits.iter().min() != waits.iter().max(), "they are spread");
    let last_answer = agent.sent.iter().rev().find(|(at, ..)| *at < answers_until).expect("one").0;
    assert_eq!(now, last_answer + CONSENT_LIFETIME);
    agent.checks.end();
    assert_eq!(agent.checks.next_due(), Time::NEVER);
    assert!(agent.due(now + Duration::from_secs(60)).is_empty());
}

#[test]
fn a_peer_that_is_seen_elsewhere_than_it_says_is_found_by_its_own_checks() {
    let (mut agent, mut peer) = (Agent::new(true, 9, &[1]), Agent::new(false, 1, &[OURS]));
    peer.checks.role = Role::Controlled;
    let seen = path(40_001);
    let mut now = Time::ZERO;
    for _ in 0..2_000 {
        now = now + Duration::from_millis(1);
        for (to, check) in peer.due(now) {
            let answer = agent.answer(now, seen, &check);
            peer.hear(now, to, &answer).expect("an answer");
        }
        for (to, check) in agent.due(now) {
            if to == seen {
                let answer = peer.answer(now, path(OURS), &check);
                agent.hear(now, to, &answer).expect("an answer");
            }
        }
    }
    assert_eq!((agent.ice.selected(), peer.ice.selected()), (Some(seen), Some(path(OURS))));
    assert!(peer.checks.nominated, "it was nominated by us");
}

#[test]
fn no_more_pairs_are_held_than_may_be() {
    let many: Vec<u16> = (1..200).collect();
    let (mut agent, mut peer) = (Agent::new(true, 9, &many), Agent::new(false, 1, &[OURS]));
    peer.checks.role = Role::Controlled;
    assert_eq!(agent.checks.paths().count(), MAX_PAIRS);
    let [(_, check)] = &peer.due(Time::from_millis(1))[..] else { panic!("one check") };
    for port in 1_000..2_000 {
        assert!(!agent.answer(Time::from_millis(1), path(port), check).is_empty(), "it is answered all the same");
    }
    assert_eq!(agent.checks.paths().count(), MAX_PAIRS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn an_answer_that_was_tampered_with_opens_nothing(changes in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4), cut in 0usize..8) {
        let (mut agent, mut server) = (Agent::new(true, 1, &[1]), IceLite::new(credentials(false)));
        let now = Time::from_millis(1);
        let due = agent.due(now);
        let (_, mut answer) = lite_answer(&mut server, now, &due[0].1);
        // Without FINGERPRINT, which would give everything away: whoever writes answers of their own writes that as well.
        answer.truncate(answer.len() - 8);
        answer[3] -= 8;
        let whole = answer.clone();
        answer.truncate(answer.len() - cut);
        for (at, bits) in changes {
            let at = at.index(answer.len());
            answer[at] ^= bits;
        }
        prop_assume!(answer != whole);
        prop_assert!(agent.hear(now, due[0].0, &answer).is_err());
        prop_assert!(!agent.ice.may_send());
        prop_assert!(agent.hear(now, due[0].0, &whole).is_ok(), "and what it was made of still does");
        // Nor does a check that was: the agent lives on and finds its way.
        let _ = agent.answer(now, path(9), &answer);
    }
}

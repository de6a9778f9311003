//! Connections that this node begins, as far as the engine: whose answers are whose, and when the other side is gone.

use super::*;
use crate::media::transport::IceLite;

const THERE: Path = Path { local: 5, remote: std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(198, 51, 100, 1), 9)) };

/// The engine with one connection that it begins, and the agent (a lite one) that answers.
struct Begun {
    engine: Engine,
    other: IceLite,
    now: Time,
    answers: bool,
    checks: Vec<Time>,
}

impl Begun {
    fn new(pairs: Vec<Path>) -> Self {
        let mut engine = engine();
        add(&mut engine, ROOM, PeerId(1), "out");
        // The node has run for an hour: nothing that is counted from its start may be taken for a silence.
        let now = Time::from_millis(3_600_000);
        engine.handle_command(now, Command { room: ROOM, what: RoomCommand::CheckIce { peer: PeerId(1), pairs, tie_breaker: 7 } });
        let ours = ice("out");
        let theirs =
            IceCredentials { local_ufrag: ours.remote_ufrag, local_pwd: ours.remote_pwd, remote_ufrag: ours.local_ufrag, remote_pwd: ours.local_pwd };
        Self { engine, other: IceLite::new(theirs), now, answers: true, checks: Vec::new() }
    }

    /// A step of 10 ms: what is due goes out, and is answered.
    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(10);
        self.engine.handle_timeout(self.now);
        for (path, datagram) in replies(&mut self.engine) {
            if path != THERE || Protocol::of(&datagram) != Some(Protocol::Stun) {
                continue;
            }
            self.checks.push(self.now);
            let mut out = [0; ice::MAX_ANSWER_LEN];
            if self.answers {
                let answer = self.other.handle_request(self.now, Path { local: 0, remote: ([192, 0, 2, 1], 7).into() }, &datagram, &mut out);
                let len = answer.expect("a check").len;
                self.engine.handle_read(self.now, THERE, &mut out[..len]);
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step();
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event()).filter(|event| !matches!(event, Event::Health { .. } | Event::Quality { .. })).collect()
    }
}

fn lost(reason: DisconnectReason) -> Event {
    Event::Disconnected { room: ROOM, peer: PeerId(1), reason }
}

#[test]
fn an_answer_is_whose_check_it_answers_and_the_way_is_found() {
    let elsewhere = Path { local: 4, ..THERE };
    let mut begun = Begun::new(vec![elsewhere, THERE]);
    begun.run(Duration::from_secs(1));
    assert!(begun.engine.knows(&THERE) && !begun.engine.knows(&elsewhere));
    let key = *begun.engine.keys.get(&ROOM).expect("the room");
    assert_eq!(begun.engine.rooms.get(key).expect("the room").way_to(0), Some(THERE));
    let count = |counter| begun.engine.counters().get(counter);
    assert_eq!((count(Counter::ChecksAnswered), count(Counter::ChecksDropped), count(Counter::StunMalformed)), (2, 0, 0));
    // The same answer once more, and one to nobody's question.
    begun.engine.handle_read(begun.now, THERE, &mut mapped(*b"nobody asked"));
    assert_eq!(begun.engine.counters().get(Counter::ChecksDropped), 1);
    tell(&mut begun.engine, ROOM, RoomCommand::RemovePeer { peer: PeerId(1) });
    assert_eq!((begun.engine.shared.demux.len(), begun.engine.shared.demux.check(&THERE)), ((0, 0), None), "nothing is left of it");
    begun.engine.handle_read(begun.now, THERE, &mut mapped(*b"nobody asked"));
    assert_eq!(begun.engine.counters().get(Counter::StunMalformed), 1);
}

#[test]
fn whoever_says_nothing_at_all_is_gone_before_consent_ends_and_whoever_reports_is_not() {
    for reports in [false, true] {
        let mut begun = Begun::new(vec![THERE]);
        begun.run(Duration::from_secs(20));
        assert_eq!(begun.events(), [], "it is there");
        begun.answers = false;
        let (since, mut number) = (begun.now, 0);
        let gone = loop {
            begun.step();
            if reports && begun.now.micros_since(since) > u64::from(number) * 1_000_000 {
                number += 1;
                begun.engine.handle_read(begun.now, THERE, &mut packet(Protocol::Rtcp, number));
            }
            if let Some(event) = begun.events().first() {
                break event.clone();
            }
            assert!(begun.now.micros_since(since) < 40_000_000, "it ends");
        };
        assert_eq!(gone, lost(DisconnectReason::ConsentLost));
        let waited = begun.now.micros_since(since) / 1_000_000;
        assert!(if reports { (24..=30).contains(&waited) } else { (6..=18).contains(&waited) }, "reports: {reports}, {waited} s");
        begun.checks.clear();
        begun.run(Duration::from_secs(30));
        assert_eq!((begun.checks.len(), begun.events()), (0, vec![]), "it is not asked any more, and said once");
    }
}

#[test]
fn where_nobody_answers_that_is_said() {
    let mut begun = Begun::new(vec![THERE]);
    begun.answers = false;
    begun.run(Duration::from_secs(9));
    assert_eq!(begun.events(), []);
    begun.run(Duration::from_secs(2));
    assert_eq!((begun.events(), begun.checks.len()), (vec![lost(DisconnectReason::NoWay)], 6));
    begun.run(Duration::from_secs(60));
    assert_eq!((begun.events(), begun.checks.len()), (vec![], 6));
}

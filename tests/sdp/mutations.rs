//! Offers that were tampered with: whatever comes, no panic, and an answer that is a session description.

use std::io::Cursor;

use althing::sdp::Offer;
use proptest::prelude::*;
use rtc_sdp::SessionDescription;

use super::support::{LIMITS, answer, fresh, names, offer, session};

/// Answers a tampered offer in a new session and in one that knows the real one.
fn survive(real: &str, tampered: &str) {
    let Ok(offer) = Offer::parse(tampered, &LIMITS) else { return };
    let mut known = session();
    answer(&mut known, real, 1).unwrap();
    for mut session in [session(), known] {
        let before = session.clone();
        match session.answer(&offer, fresh(2)) {
            Ok(answer) => {
                SessionDescription::unmarshal(&mut Cursor::new(answer.sdp.as_bytes())).unwrap();
                let mlines = answer.sdp.matches("\r\nm=").count();
                assert_eq!(mlines, tampered.split(['\r', '\n']).filter(|l| l.starts_with("m=")).count());
                assert!(answer.sdp.split("\r\n").all(|l| !l.contains(['\r', '\n'])));
            }
            Err(_) => assert_eq!(session, before),
        }
    }
}

#[test]
fn an_offer_cut_at_any_byte_is_refused_or_answered() {
    for name in ["aiortc-sendrecv", "firefox-simulcast-vp8"] {
        let real = offer(name);
        for end in (0..=real.len()).filter(|end| real.is_char_boundary(*end)) {
            survive(&real, &real[..end]);
        }
    }
}

#[test]
fn an_offer_without_any_one_of_its_lines_is_refused_or_answered() {
    for name in ["chromium-sendrecv", "firefox-sendrecv", "ffmpeg-whip", "gstreamer-whip", "chromium-simulcast-av1"] {
        let real = offer(name);
        let lines: Vec<_> = real.lines().collect();
        for i in 0..lines.len() {
            let fewer: String = lines.iter().enumerate().filter(|(n, _)| *n != i).map(|(_, l)| format!("{l}\r\n")).collect();
            survive(&real, &fewer);
            let more: String =
                lines.iter().enumerate().flat_map(|(n, l)| std::iter::repeat_n(*l, if n == i { 2 } else { 1 })).map(|l| format!("{l}\r\n")).collect();
            survive(&real, &more);
        }
    }
}

#[derive(Clone, Debug)]
enum Tamper {
    Delete(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Replace(prop::sample::Index, prop::sample::Index, String),
    Number(prop::sample::Index, u64),
    Cut(prop::sample::Index, prop::sample::Index),
}

fn tamper() -> impl Strategy<Value = Tamper> {
    use any as a;
    type I = prop::sample::Index;
    let garbage = prop_oneof![
        "[ -~]{0,8}",
        "\\PC{0,4}",
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just("\0".to_owned()),
        Just(":".to_owned()),
        Just("/".to_owned()),
        Just("~".to_owned()),
        "[a-z0-9]{17,300}"
    ];
    prop_oneof![
        a::<I>().prop_map(Tamper::Delete),
        (a::<I>(), a::<I>()).prop_map(|(from, to)| Tamper::Repeat(from, to)),
        (a::<I>(), a::<I>()).prop_map(|(x, y)| Tamper::Swap(x, y)),
        (a::<I>(), a::<I>(), garbage).prop_map(|(line, at, text)| Tamper::Replace(line, at, text)),
        (a::<I>(), prop_oneof![0u64..300, a::<u64>()]).prop_map(|(line, n)| Tamper::Number(line, n)),
        (a::<I>(), a::<I>()).prop_map(|(line, at)| Tamper::Cut(line, at)),
    ]
}

fn apply(lines: &mut Vec<String>, tamper: &Tamper) {
    if lines.is_empty() {
        return;
    }
    let count = lines.len();
    let at = |line: &str, i: &prop::sample::Index| line.char_indices().map(|(at, _)| at).nth(i.index(line.chars().count().max(1))).unwrap_or(0);
    match tamper {
        Tamper::Delete(i) => drop(lines.remove(i.index(count))),
        Tamper::Repeat(from, to) => lines.insert(to.index(count), lines[from.index(count)].clone()),
        Tamper::Swap(x, y) => lines.swap(x.index(count), y.index(count)),
        Tamper::Replace(i, place, text) => {
            let line = &mut lines[i.index(count)];
            let place = at(line, place);
            let next = line[place..].chars().next().map_or(0, char::len_utf8);
            line.replace_range(place..place + next, text);
        }
        Tamper::Number(i, n) => {
            let line = &mut lines[i.index(count)];
            if let Some(start) = line.find(|c: char| c.is_ascii_digit()) {
                let len = line[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len() - start);
                line.replace_range(start..start + len, &n.to_string());
            }
        }
        Tamper::Cut(i, place) => {
            let line = &mut lines[i.index(count)];
            let place = at(line, place);
            line.truncate(place);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tampered_offer_is_refused_or_answered(which in any::<prop::sample::Index>(), tampers in prop::collection::vec(tamper(), 1..6)) {
        let names: Vec<_> = names().into_iter().filter(|n| !n.contains("pairs12")).collect();
        let real = offer(&names[which.index(names.len())]);
        let mut lines: Vec<_> = real.lines().map(str::to_owned).collect();
        for tamper in &tampers {
            apply(&mut lines, tamper);
        }
        survive(&real, &lines.iter().map(|l| format!("{l}\r\n")).collect::<String>());
    }

    #[test]
    fn noise_is_refused(text in "\\PC{0,400}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Offer::parse(&text, &LIMITS).is_err());
        prop_assert!(Offer::parse(&String::from_utf8_lossy(&bytes), &LIMITS).is_err());
    }
}

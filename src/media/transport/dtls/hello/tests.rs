use super::*;
use proptest::prelude::*;

fn client_hello(use_srtp: &[u8]) -> Vec<u8> {
    let mut hello = vec![0xfe, 0xfd];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[2, 1, 1, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut extensions = vec![0, 23, 0, 0];
    extensions.extend_from_slice(use_srtp);
    hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    hello.extend_from_slice(&extensions);
    hello
}

fn listing(profiles: &[u16]) -> Vec<u8> {
    let mut extension = vec![0, 14, 0, 3 + 2 * profiles.len() as u8, 0, 2 * profiles.len() as u8];
    extension.extend(profiles.iter().flat_map(|profile| profile.to_be_bytes()));
    extension.push(0);
    client_hello(&extension)
}

fn fragment(message: &[u8], from: usize, to: usize) -> Fragment<'_> {
    Fragment { kind: CLIENT_HELLO, total: message.len(), message: 0, offset: from, body: &message[from..to] }
}

#[test]
fn gcm_is_chosen_wherever_it_stands_in_the_list() {
    assert_eq!(choose_profile(&listing(&[7])), Some(SrtpProfile::AeadAes128Gcm));
    assert_eq!(choose_profile(&listing(&[1, 2, 8, 7])), Some(SrtpProfile::AeadAes128Gcm));
    assert_eq!(choose_profile(&listing(&[8])), Some(SrtpProfile::AeadAes256Gcm));
    assert_eq!(choose_profile(&listing(&[1, 8, 2])), Some(SrtpProfile::AeadAes256Gcm));
    assert_eq!(choose_profile(&listing(&[2, 1])), Some(SrtpProfile::AesCm128HmacSha1_80));
}

#[test]
fn a_list_without_a_strong_profile_gives_none() {
    for profiles in [&[][..], &[2], &[5, 6], &[0x0700]] {
        assert_eq!(choose_profile(&listing(profiles)), None, "{profiles:?}");
    }
    assert_eq!(choose_profile(&client_hello(&[])), None);
}

#[test]
fn a_client_hello_cut_at_any_length_gives_no_profile() {
    let hello = listing(&[1, 7]);
    assert!((0..hello.len()).all(|len| choose_profile(&hello[..len]).is_none()));
}

#[test]
fn a_message_that_is_too_long_or_overruns_itself_is_ignored() {
    let mut assembler = HelloAssembler::default();
    let body = [1; 100];
    for (total, offset) in [(MAX_HELLO_LEN + 1, 0), (0, 0), (99, 0), (150, 51), (0xff_ffff, 0xff_ff00), (100, usize::MAX)] {
        assert!(assembler.add(&Fragment { kind: CLIENT_HELLO, total, message: 0, offset, body: &body }, 0).is_none());
    }
    assert!(assembler.add(&Fragment { kind: CLIENT_HELLO, total: 100, message: 2, offset: 0, body: &body }, 0).is_none());
    assert!(assembler.bytes.is_empty());
    assert!(assembler.add(&Fragment { kind: CLIENT_HELLO, total: 100, message: 0, offset: 0, body: &body }, 0).is_some());
}

#[test]
fn the_second_client_hello_is_not_disturbed_by_late_fragments_of_the_first() {
    let (first, second) = (vec![1; 50], vec![2; 60]);
    let mut assembler = HelloAssembler::default();
    assert!(assembler.add(&fragment(&first, 0, 50), 0).is_some());
    let part = |from, to| Fragment { message: 1, ..fragment(&second, from, to) };
    assert!(assembler.add(&part(0, 30), 1).is_none());
    assert!(assembler.add(&fragment(&first, 0, 50), 0).is_none());
    let whole = assembler.add(&part(30, 60), 2).unwrap();
    assert_eq!(body_of(&whole), second);
}

#[test]
fn a_repeated_message_is_put_together_again() {
    let message = vec![3; 80];
    let mut assembler = HelloAssembler::default();
    for sequence in 0..3 {
        assert!(assembler.add(&fragment(&message, 0, 40), sequence).is_none());
        let whole = assembler.add(&fragment(&message, 40, 80), sequence).unwrap();
        assert_eq!(records(&whole).next().unwrap().sequence, sequence);
    }
}

proptest! {
    #[test]
    fn fragments_in_any_order_with_any_overlap_give_the_message(
        message in proptest::collection::vec(any::<u8>(), 1..2_000),
        cuts in proptest::collection::vec((0usize..2_000, 1usize..700), 0..40),
        order in any::<prop::sample::Index>(),
    ) {
        let mut parts: Vec<(usize, usize)> = cuts.into_iter().map(|(from, len)| (from % message.len(), len)).map(|(from, len)| (from, (from + len).min(message.len()))).collect();
        // What the random parts leave out, in chunks, put in somewhere among them.
        let at = order.index(parts.len() + 1);
        let rest: Vec<_> = (0..message.len()).step_by(97).map(|from| (from, (from + 97).min(message.len()))).rev().collect();
        parts.splice(at..at, rest);
        let mut assembler = HelloAssembler::default();
        let whole = parts.iter().find_map(|(from, to)| assembler.add(&fragment(&message, *from, *to), 9)).unwrap();
        prop_assert_eq!(body_of(&whole), &message[..]);
        let record = records(&whole).next().unwrap();
        prop_assert!(is_client_hello(&record) && record.sequence == 9 && record.bytes.len() == whole.len());
        prop_assert_eq!(record.fragments().map(|f| (f.total, f.message, f.offset, f.body.len())).collect::<Vec<_>>(), vec![(message.len(), 0, 0, message.len())]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut assembler = HelloAssembler::default();
        for record in records(&bytes) {
            prop_assert!(record.bytes.len() == RECORD_HEADER + record.body.len());
            for fragment in record.fragments() {
                assembler.add(&fragment, record.sequence);
            }
        }
        choose_profile(&bytes);
        prop_assert!(assembler.bytes.len() <= MAX_HELLO_LEN);
    }
}

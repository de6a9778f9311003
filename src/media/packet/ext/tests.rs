use super::*;
use proptest::prelude::*;

fn listed(form: ExtensionForm, block: &[u8]) -> Vec<(u8, Vec<u8>)> {
    elements(form, block).map(|e| (e.id, block[e.start..e.end].to_vec())).collect()
}

#[test]
fn one_byte_elements_are_found_between_padding() {
    let block = [0x10, 0xaa, 0, 0x31, 1, 2, 0, 0];
    assert_eq!(listed(ExtensionForm::OneByte, &block), [(1, vec![0xaa]), (3, vec![1, 2])]);
}

#[test]
fn two_byte_elements_may_be_empty_and_long() {
    let mut block = vec![200, 0, 0, 15, 20];
    block.extend(1..=20);
    assert_eq!(listed(ExtensionForm::TwoByte, &block), [(200, vec![]), (15, (1..=20).collect())]);
}

#[test]
fn id_15_ends_the_one_byte_form() {
    assert_eq!(listed(ExtensionForm::OneByte, &[0x10, 1, 0xf0, 9, 0x20, 2]), [(1, vec![1])]);
}

#[test]
fn id_0_with_a_length_ends_the_one_byte_form() {
    assert_eq!(listed(ExtensionForm::OneByte, &[0x10, 1, 0x01, 9, 9, 0x20, 2]), [(1, vec![1])]);
}

#[test]
fn an_unknown_form_has_no_elements() {
    assert_eq!(listed(ExtensionForm::Unknown, &[0x10, 1, 0, 0]), []);
}

#[test]
fn an_element_that_leaves_the_block_is_not_given() {
    let block = [0x10, 1, 0x32, 1, 2, 3];
    for cut in 0..block.len() {
        let expected = if cut < 2 { vec![] } else { vec![(1, vec![1])] };
        assert_eq!(listed(ExtensionForm::OneByte, &block[..cut]), expected, "{cut}");
    }
    assert_eq!(listed(ExtensionForm::TwoByte, &[1, 1, 7, 2, 5, 0]), [(1, vec![7])]);
}

#[test]
fn a_block_is_announced_and_padded_to_words() {
    let mut out = [0xff; 16];
    let mut block = ExtensionWriter::new(&mut out, ExtensionForm::OneByte);
    assert!(block.add(1, &[0xaa]));
    assert!(block.add(14, &[1, 2, 3]));
    assert_eq!(block.finish(), Some(12));
    assert_eq!(out[..12], [0xbe, 0xde, 0, 2, 0x10, 0xaa, 0xe2, 1, 2, 3, 0, 0]);
    assert_eq!(out[12..], [0xff; 4]);
}

#[test]
fn the_two_byte_form_is_announced_as_such() {
    let mut out = [0xff; 8];
    let mut block = ExtensionWriter::new(&mut out, ExtensionForm::TwoByte);
    assert!(block.add(15, &[7]));
    assert_eq!(block.finish(), Some(8));
    assert_eq!(out, [0x10, 0, 0, 1, 15, 1, 7, 0]);
}

#[test]
fn an_element_that_the_form_cannot_hold_is_left_out() {
    let mut out = [0; 64];
    let mut block = ExtensionWriter::new(&mut out, ExtensionForm::OneByte);
    assert!(!block.add(15, &[1]));
    assert!(!block.add(0, &[1]));
    assert!(!block.add(1, &[]));
    assert!(!block.add(1, &[0; 17]));
    assert_eq!(block.finish(), Some(0));
    let mut block = ExtensionWriter::new(&mut out, ExtensionForm::TwoByte);
    assert!(!block.add(0, &[1]));
    assert!(!block.add(1, &[0; 256]));
    assert_eq!(block.finish(), Some(0));
}

#[test]
fn a_block_without_elements_takes_no_room() {
    assert_eq!(ExtensionWriter::new(&mut [], ExtensionForm::OneByte).finish(), Some(0));
}

#[test]
fn a_block_fits_wholly_or_not_at_all() {
    for room in 0..12 {
        let mut out = [0; 12];
        let mut block = ExtensionWriter::new(&mut out[..room], ExtensionForm::OneByte);
        block.add(1, &[1]);
        block.add(2, &[1, 2, 3]);
        assert_eq!(block.finish(), None, "{room}");
    }
}

#[test]
fn an_audio_level_goes_there_and_back() {
    assert_eq!(AudioLevel::read(&[]), None);
    assert_eq!(AudioLevel::read(&[0x85, 0]), Some(AudioLevel { voice: true, level: 5 }));
    assert_eq!(AudioLevel { voice: false, level: 200 }.bytes(), [127]);
    for byte in 0..=255 {
        assert_eq!(AudioLevel::read(&[byte]).unwrap().bytes(), [byte]);
    }
}

#[test]
fn absolute_send_time_is_six_dot_eighteen_seconds_and_turns_each_minute_and_four_seconds() {
    assert_eq!(abs_send_time_of(Time::from_millis(1_000)), 1 << 18);
    assert_eq!(abs_send_time_of(Time::from_millis(63_500)), 63 << 18 | 1 << 17);
    assert_eq!(abs_send_time_of(Time::from_millis(64_000)), 0);
    // The last microsecond before the turn rounds up into the next one.
    assert_eq!(abs_send_time_of(Time::from_micros(63_999_999)), 0);
    assert!(abs_send_time_of(Time::NEVER) < 1 << 24);
}

#[test]
fn short_values_are_none() {
    assert_eq!(transport_cc(&[1]), None);
    assert_eq!(transport_cc(&[1, 2, 3]), Some(0x0102));
    assert_eq!(abs_send_time(&[1, 2]), None);
    assert_eq!(abs_send_time(&[1, 2, 3]), Some(0x01_0203));
    assert_eq!(abs_send_time_bytes(0xff01_0203), [1, 2, 3]);
    assert_eq!(transport_cc_bytes(0x0102), [1, 2]);
}

fn form() -> impl Strategy<Value = ExtensionForm> {
    prop_oneof![Just(ExtensionForm::OneByte), Just(ExtensionForm::TwoByte)]
}

proptest! {
    #[test]
    fn any_block_gives_elements_inside_it_in_order(block in proptest::collection::vec(any::<u8>(), 0..80), form in form()) {
        let mut at = 0;
        for element in elements(form, &block) {
            prop_assert!(at < element.start && element.start <= element.end && element.end <= block.len());
            prop_assert!(element.id != 0);
            at = element.end;
        }
    }

    #[test]
    fn what_is_written_is_read(form in form(), wanted in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..8)) {
        let mut out = [0xff; 512];
        let mut block = ExtensionWriter::new(&mut out, form);
        let written: Vec<_> = wanted.into_iter().filter(|(id, value)| block.add(*id, value)).collect();
        let len = block.finish().unwrap();
        prop_assert_eq!(len % 4, 0);
        prop_assert_eq!(len == 0, written.is_empty());
        prop_assert_eq!(listed(form, &out[4.min(len)..len]), written);
    }
}

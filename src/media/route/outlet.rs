//! How what a publisher sends goes out to one subscriber: under which payload type, and what is done to the payload.

use crate::contract::{Codec, CodecPlan};
use crate::media::packet::red;

/// How packets of one of the publisher's codecs go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// The subscriber's payload type.
    pub payload_type: u8,
    /// That of its RTX.
    pub rtx: Option<u8>,
    /// What has to be done.
    pub form: Form,
}

/// What has to be done to the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    AsIs,
    /// Its descriptor has numbers that go on from source to source: VP8, VP9.
    Numbered {
        /// Pictures that are left out take their numbers with them: receivers of VP8 wait for each, those of VP9 count on the gap.
        closes: bool,
    },
    /// RED whose blocks have another payload type at this subscriber.
    RedBlocks {
        /// The publisher's payload type of the blocks.
        theirs: u8,
        /// The subscriber's.
        primary: u8,
    },
    /// RED for a subscriber without RED: only the primary block goes out.
    RedPrimary {
        /// The publisher's payload type of that block: another one is not what the subscriber takes it for.
        theirs: u8,
    },
    /// Plain Opus for a subscriber that would rather have RED: earlier packets are repeated in it.
    AddRed {
        /// The subscriber's payload type of the blocks.
        primary: u8,
    },
}

impl Form {
    /// Whether a payload is what the subscriber will take it for: RED whose newest block is of another codec than was agreed on is not.
    pub fn fits(self, payload: &[u8]) -> bool {
        match self {
            Self::RedPrimary { theirs } | Self::RedBlocks { theirs, .. } => {
                red::primary(payload).is_some_and(|primary| primary.payload_type == theirs)
            }
            Self::AsIs | Self::Numbered { .. } | Self::AddRed { .. } => true,
        }
    }
}

/// How a codec that is sent goes to a subscriber with these codecs, in the order of its preference.
pub fn outlet_for(sent: &CodecPlan, received: &[CodecPlan]) -> Option<Outlet> {
    let decoder = received.iter().find(|c| c.codec.decodes(sent.codec));
    let opus = || received.iter().find(|c| c.codec == Codec::Opus);
    let (decoder, form) = match (sent.codec, decoder.map(|d| d.codec)) {
        (Codec::Vp8, Some(_)) => (decoder, Form::Numbered { closes: true }),
        (Codec::Vp9 { .. }, Some(_)) => (decoder, Form::Numbered { closes: false }),
        (Codec::Red { primary: theirs }, Some(Codec::Red { primary: ours })) if theirs != ours => {
            (decoder, Form::RedBlocks { theirs, primary: ours })
        }
        (Codec::Red { primary: theirs }, None) => (opus(), Form::RedPrimary { theirs }),
        (Codec::Opus, Some(_)) => match received.first() {
            Some(CodecPlan { codec: Codec::Red { primary }, .. }) => (received.first(), Form::AddRed { primary: *primary }),
            _ => (decoder, Form::AsIs),
        },
        _ => (decoder, Form::AsIs),
    };
    decoder.map(|decoder| Outlet { payload_type: decoder.payload_type, rtx: decoder.rtx, form })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Feedback;

    fn plan(payload_type: u8, codec: Codec) -> CodecPlan {
        CodecPlan { payload_type, codec, clock_rate: 48_000, rtx: None, feedback: Feedback::default() }
    }

    #[test]
    fn red_is_stripped_for_a_subscriber_without_it_and_its_blocks_renumbered_for_one_with_other_numbers() {
        let sent = plan(63, Codec::Red { primary: 111 });
        assert_eq!(
            outlet_for(&sent, &[plan(109, Codec::Opus)]),
            Some(Outlet { payload_type: 109, rtx: None, form: Form::RedPrimary { theirs: 111 } })
        );
        let red = [plan(109, Codec::Opus), plan(64, Codec::Red { primary: 109 })];
        assert_eq!(outlet_for(&sent, &red), Some(Outlet { payload_type: 64, rtx: None, form: Form::RedBlocks { theirs: 111, primary: 109 } }));
        let same = [plan(111, Codec::Opus), plan(63, Codec::Red { primary: 111 })];
        assert_eq!(outlet_for(&sent, &same), Some(Outlet { payload_type: 63, rtx: None, form: Form::AsIs }));
    }

    #[test]
    fn red_is_made_for_a_subscriber_that_would_rather_have_it() {
        let sent = plan(111, Codec::Opus);
        let rather = [plan(64, Codec::Red { primary: 109 }), plan(109, Codec::Opus)];
        assert_eq!(outlet_for(&sent, &rather), Some(Outlet { payload_type: 64, rtx: None, form: Form::AddRed { primary: 109 } }));
        let merely_can = [plan(109, Codec::Opus), plan(64, Codec::Red { primary: 109 })];
        assert_eq!(outlet_for(&sent, &merely_can), Some(Outlet { payload_type: 109, rtx: None, form: Form::AsIs }));
    }

    #[test]
    fn a_codec_that_the_subscriber_lacks_has_no_outlet() {
        assert_eq!(outlet_for(&plan(98, Codec::Vp9 { profile: 2 }), &[plan(98, Codec::Vp9 { profile: 0 })]), None);
    }
}

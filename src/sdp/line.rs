//! What is common to one m-line of an offer and us: codecs, feedback and header extensions.

use super::section::{Direction, OfferedExtension, Section};
use crate::contract::{CodecPlan, DataPlan, Extension, ExtensionMap, ReceivePlan, SendPlan};

/// Our answer to one m-line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// Port 0: stopped by the offerer, or nothing that we know.
    Rejected,
    /// Taken.
    Accepted(Box<Accepted>),
    /// Data channels, taken.
    Data(DataPlan),
}

/// An m-line that is taken; in neither direction when it is `inactive`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accepted {
    pub common: Common,
    pub receive: Option<ReceivePlan>,
    pub send: Option<Slot>,
}

impl Line {
    pub fn receive(&self) -> Option<&ReceivePlan> {
        match self {
            Line::Accepted(line) => line.receive.as_ref(),
            Line::Rejected | Line::Data(_) => None,
        }
    }

    pub fn send(&self) -> Option<&Slot> {
        match self {
            Line::Accepted(line) => line.send.as_ref(),
            Line::Rejected | Line::Data(_) => None,
        }
    }

    pub const fn data(&self) -> Option<DataPlan> {
        match self {
            Line::Data(plan) => Some(*plan),
            Line::Rejected | Line::Accepted(_) => None,
        }
    }
}

/// One half of a slot pair.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub plan: SendPlan,
    /// The pair's number.
    pub pair: usize,
}

/// What both sides of an m-line know.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Common {
    /// Codecs in the order of the offer, with the feedback that is agreed.
    pub codecs: Vec<CodecPlan>,
    /// Extensions in packets to us.
    pub to_us: ExtensionMap,
    /// Extensions in packets from us.
    pub to_them: ExtensionMap,
    /// What the answer says about extensions.
    pub extmaps: Vec<OfferedExtension>,
}

impl Common {
    pub fn of(section: &Section, two_byte_allowed: bool) -> Self {
        let extensions: Vec<_> = section.extensions.iter().filter(|e| usable(e, section.direction) && (two_byte_allowed || e.id < 15)).collect();
        // Feedback for a number that no packet carries would never come, and the number without feedback is only weight.
        let transport_cc =
            extensions.iter().any(|e| e.extension == Extension::TransportCc) && section.codecs.iter().any(|c| c.plan.feedback.transport_cc);
        let extmaps: Vec<_> = extensions
            .into_iter()
            .filter(|e| match e.extension {
                Extension::TransportCc => transport_cc,
                // Two ways to tell the sending time are one too many; Chromium estimates by either.
                Extension::AbsSendTime => !transport_cc,
                _ => true,
            })
            .copied()
            .collect();
        let map = |sender: fn(Direction) -> bool| {
            let mut map = ExtensionMap::default();
            map.two_byte_allowed = two_byte_allowed;
            if sender(section.direction) {
                extmaps.iter().filter(|e| e.direction.is_none_or(sender)).for_each(|e| map.set(e.extension, e.id));
            }
            map
        };
        Self { codecs: codecs(section, transport_cc), to_us: map(|d| d.sends), to_them: map(|d| d.receives), extmaps }
    }
}

/// Whether an extension goes along with any media of the m-line. On an inactive one it is kept for later.
fn usable(extension: &OfferedExtension, line: Direction) -> bool {
    let Some(own) = extension.direction else { return true };
    let inactive = !line.sends && !line.receives;
    (own.sends && (line.sends || inactive)) || (own.receives && (line.receives || inactive))
}

/// One bandwidth estimate is enough: transport-wide feedback where there is some, else REMB.
fn codecs(section: &Section, transport_cc: bool) -> Vec<CodecPlan> {
    let mut codecs: Vec<_> = section.codecs.iter().map(|c| c.plan.clone()).collect();
    for feedback in codecs.iter_mut().map(|c| &mut c.feedback) {
        feedback.transport_cc &= transport_cc;
        feedback.remb &= !feedback.transport_cc;
    }
    codecs
}

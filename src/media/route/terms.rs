//! What negotiation settles of a leg, compiled for its packets.

use super::leg::{Leg, MOST_CODECS};
use super::outlet::outlet_for;
use crate::contract::{Extension, ExtensionMap, ReceivePlan, SendPlan};
use crate::media::rewrite::HeaderRewrite;

impl Leg {
    /// A renegotiated m-line. The SSRC never changes.
    pub fn renegotiate(&mut self, plan: SendPlan) {
        if plan == self.plan {
            return;
        }
        self.forget_repeats();
        self.header = HeaderRewrite::compile(&target_extensions(&plan), Some(plan.mid));
        self.counts_transport = target_extensions(&plan).id(Extension::TransportCc).is_some();
        self.repeats_exactly = repeats_exactly(&plan);
        self.plan = plan;
    }

    /// Whether it can decode a codec of its track's, by that codec's place in the publisher's plan.
    pub fn decodes(&self, codec: u8) -> bool {
        self.outlets.get(usize::from(codec)).is_some_and(Option::is_some)
    }

    /// Compiles payload types and header extensions for a publisher's plan.
    pub fn compile(&mut self, source: &ReceivePlan) {
        let mut outlets = [None; MOST_CODECS];
        for (outlet, sent) in outlets.iter_mut().zip(&source.codecs) {
            *outlet = outlet_for(sent, &self.plan.codecs);
        }
        if outlets != self.outlets {
            self.forget_repeats();
        }
        self.outlets = outlets;
    }

    /// Whether its receiver reports what it receives, transport-wide or as an estimate.
    pub fn is_reported(&self) -> bool {
        self.plan.codecs.iter().any(|c| c.feedback.transport_cc && self.counts_transport || c.feedback.remb)
    }
}

/// Whether a packet that is asked for is sent again as it was: then nothing in it may change from sending to sending,
/// or one SRTP index would protect two packets (and a GCM nonce used twice gives the key away).
pub(super) fn repeats_exactly(plan: &SendPlan) -> bool {
    plan.codecs.iter().any(|c| c.feedback.nack && c.rtx.is_none())
}

pub(super) fn target_extensions(plan: &SendPlan) -> ExtensionMap {
    let mut target = plan.extensions;
    if repeats_exactly(plan) {
        target.set(Extension::TransportCc, 0);
        target.set(Extension::AbsSendTime, 0);
    }
    target
}

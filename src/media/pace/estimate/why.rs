//! Why the estimate is what it is: for explaining it to people, and for metrics.

/// Why the estimate is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Why {
    /// Nothing is known yet.
    #[default]
    Start,
    /// It grew: what is sent arrives without a queue.
    Increase,
    /// Nothing speaks for a change, or a queue drains.
    Hold,
    /// A queue stood.
    DecreaseDelay,
    /// Too much got lost.
    DecreaseLoss,
    /// Loss turned out not to depend on the rate, or feedback came back.
    Restore,
    /// Feedback stopped.
    Outage,
    /// A probe got through.
    ProbeUp,
    /// Probes found that the link carries a little less.
    ProbeDown,
    /// The receiver said so (REMB).
    Remb,
    /// Its reports of loss said so (RR).
    Report,
}

impl Why {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// The reason as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Why::Start => "start",
            Why::Increase => "increase",
            Why::Hold => "hold",
            Why::DecreaseDelay => "delay",
            Why::DecreaseLoss => "loss",
            Why::Restore => "restored",
            Why::Outage => "outage",
            Why::ProbeUp => "probe_up",
            Why::ProbeDown => "probe_down",
            Why::Remb => "remb",
            Why::Report => "report",
        }
    }
}

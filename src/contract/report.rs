//! What a worker counts. Counters are cumulative: a lost report costs staleness, nothing else.

use super::measure::Distributions;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident => $metric:literal, $label:literal;)*) => {
        /// Everything that a worker counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Counter {
            $($(#[doc = $doc])* $name,)*
        }

        impl Counter {
            /// All counters, in the order of their discriminants.
            pub const ALL: &'static [Counter] = &[$(Counter::$name,)*];

            /// The metric's name (without the `althing_` prefix), and `key=value` of its labels, with commas between them.
            pub const fn metric(self) -> (&'static str, &'static str) {
                match self {
                    $(Counter::$name => ($metric, $label),)*
                }
            }
        }
    };
}

counters! {
    /// Datagrams received.
    DatagramsIn => "datagrams_received_total", "";
    /// Bytes of datagrams received.
    BytesIn => "received_bytes_total", "";
    /// Datagrams sent.
    DatagramsOut => "datagrams_sent_total", "";
    /// Bytes of datagrams sent.
    BytesOut => "sent_bytes_total", "";
    /// Messages sent: a datagram alone, or a run of equal ones to one address (UDP_SEGMENT).
    MessagesOut => "send_messages_total", "";
    /// System calls that send.
    SendCalls => "send_calls_total", "";
    /// System calls that receive, those that found nothing included.
    ReceiveCalls => "receive_calls_total", "";
    /// Datagrams sent in pieces, because the path to their destination is narrower than they are long.
    Fragmented => "datagrams_fragmented_total", "";
    /// Runs that the kernel refused; their datagrams were sent one by one.
    RunRefused => "send_runs_refused_total", "";
    /// RTP packets accepted from publishers.
    RtpIn => "rtp_packets_received_total", "";
    /// RTP packets forwarded to subscribers, retransmissions excluded.
    RtpForwarded => "rtp_packets_forwarded_total", "";
    /// RTP packets of sound accepted from publishers; as the three after it counted when their connection reports, and when it ends.
    AudioPacketsIn => "media_packets_total", "direction=received,kind=audio";
    /// RTP packets of pictures accepted from publishers.
    VideoPacketsIn => "media_packets_total", "direction=received,kind=video";
    /// RTP packets of sound forwarded to subscribers.
    AudioPacketsOut => "media_packets_total", "direction=sent,kind=audio";
    /// RTP packets of pictures forwarded to subscribers.
    VideoPacketsOut => "media_packets_total", "direction=sent,kind=video";
    /// Bytes of those of sound from publishers, with their headers.
    AudioBytesIn => "media_bytes_total", "direction=received,kind=audio";
    /// Bytes of those of pictures from publishers, with their headers.
    VideoBytesIn => "media_bytes_total", "direction=received,kind=video";
    /// Bytes of sound forwarded, headers excluded.
    AudioBytesOut => "media_bytes_total", "direction=sent,kind=audio";
    /// Bytes of pictures forwarded, headers excluded.
    VideoBytesOut => "media_bytes_total", "direction=sent,kind=video";
    /// Times that a publisher was told that it sends more than it may.
    ExcessTold => "publish_excess_total", "action=told";
    /// Tracks that ended because their publisher went on.
    ExcessEnded => "publish_excess_total", "action=ended";
    /// RTP packets sent again on request.
    RtpRetransmitted => "rtp_packets_retransmitted_total", "";
    /// RTP packets that a publisher sent again and that filled a hole.
    RtpRepaired => "rtp_packets_repaired_total", "";
    /// Sequence numbers asked for from publishers.
    NackOut => "nacked_packets_total", "direction=sent";
    /// Sequence numbers asked for by subscribers.
    NackIn => "nacked_packets_total", "direction=received";
    /// Sequence numbers that were asked for and were no longer (or never) in the cache.
    NackMissed => "nack_misses_total", "";
    /// Key frames asked for from publishers.
    KeyFrameRequestOut => "key_frame_requests_total", "direction=sent";
    /// Key frames asked for by subscribers.
    KeyFrameRequestIn => "key_frame_requests_total", "direction=received";
    /// Key frames asked for by subscribers that are not asked for from their publishers: the subscriber has had as many as it may.
    KeyFrameRequestHeld => "key_frame_requests_held_total", "";
    /// Sender reports sent with the first packet of what a slot was pointed at, or of another encoding.
    SwitchReportOut => "switch_reports_total", "result=sent";
    /// Such reports left to the next regular one: the slot has had one just before.
    SwitchReportHeld => "switch_reports_total", "result=held";
    /// RTCP packets (compounds) accepted.
    RtcpIn => "rtcp_packets_received_total", "";
    /// RTCP packets (compounds) sent.
    RtcpOut => "rtcp_packets_sent_total", "";
    /// STUN requests answered.
    StunAnswered => "stun_requests_total", "result=answered";
    /// STUN requests without a user name, answered with where they came from.
    StunService => "stun_requests_total", "result=service";
    /// STUN requests without a user name, of prefixes that have sent too many.
    StunServiceLimited => "stun_requests_total", "result=service_limited";
    /// STUN requests for a user name that is not ours.
    StunUnknownUser => "stun_requests_total", "result=unknown_user";
    /// STUN requests of a known user name without integrity, or with a wrong one.
    StunBadIntegrity => "stun_requests_total", "result=bad_integrity";
    /// STUN requests that could not be read, or of another kind.
    StunMalformed => "stun_requests_total", "result=malformed";
    /// STUN requests in which the peer took the controlled role (answered 487).
    StunRoleConflict => "stun_requests_total", "result=role_conflict";
    /// ICE checks that were sent where this node has begun the connection, repeats included.
    ChecksOut => "ice_checks_total", "result=sent";
    /// Such checks that were answered.
    ChecksAnswered => "ice_checks_total", "result=answered";
    /// Answers to checks that are dropped: nobody has asked, or they cannot be read or are somebody else's.
    ChecksDropped => "ice_checks_total", "result=dropped";
    /// DTLS handshakes begun.
    HandshakeStarted => "dtls_handshakes_total", "result=started";
    /// DTLS handshakes completed.
    HandshakeCompleted => "dtls_handshakes_total", "result=completed";
    /// DTLS handshakes failed.
    HandshakeFailed => "dtls_handshakes_total", "result=failed";
    /// Datagrams dropped: shorter or stranger than any known protocol.
    DropUnknownProtocol => "packets_dropped_total", "reason=unknown_protocol";
    /// Datagrams dropped: media or DTLS from an address that no ICE check has validated.
    DropUnvalidatedAddress => "packets_dropped_total", "reason=unvalidated_address";
    /// Datagrams dropped: DTLS that could not be read, or too much of it before the handshake's end.
    DropDtls => "packets_dropped_total", "reason=dtls";
    /// Datagrams dropped: SRTP before the keys are known.
    DropNoKeys => "packets_dropped_total", "reason=no_keys";
    /// Packets dropped: SRTP or SRTCP authentication failed.
    DropAuthentication => "packets_dropped_total", "reason=authentication";
    /// Packets dropped: replayed, or too old to tell.
    DropReplay => "packets_dropped_total", "reason=replay";
    /// Packets dropped: the RTP or RTCP header is malformed.
    DropMalformed => "packets_dropped_total", "reason=malformed";
    /// Reports dropped: transport-wide feedback that cannot be read, or speaks of many more packets than were sent.
    DropFeedback => "packets_dropped_total", "reason=feedback";
    /// Packets dropped: an authentic packet with an SSRC that belongs to no m-line.
    DropUnknownSsrc => "packets_dropped_total", "reason=unknown_ssrc";
    /// Packets dropped: the peer already has as many SSRCs as it may.
    DropSsrcCap => "packets_dropped_total", "reason=ssrc_cap";
    /// Packets dropped: a payload type that was not negotiated.
    DropPayloadType => "packets_dropped_total", "reason=payload_type";
    /// Packets dropped: padding only, or an RTX packet that repairs nothing.
    DropPadding => "packets_dropped_total", "reason=padding";
    /// Packets dropped: the m-line carries no published track, or the track is muted by a moderator.
    DropUnpublished => "packets_dropped_total", "reason=unpublished";
    /// Packets dropped: a voice that is not among the loudest at present.
    DropUnheard => "packets_dropped_total", "reason=unheard";
    /// Packets dropped: the encoding is not the one that the answer accepted.
    DropEncoding => "packets_dropped_total", "reason=encoding";
    /// Forwards dropped: the subscriber cannot decode the codec.
    DropUndecodable => "forwards_dropped_total", "reason=undecodable";
    /// Forwards dropped: waiting for a key frame.
    DropAwaitingKeyFrame => "forwards_dropped_total", "reason=awaiting_key_frame";
    /// Forwards dropped: of an encoding that the subscriber does not get (yet, or any more).
    DropOtherEncoding => "forwards_dropped_total", "reason=other_encoding";
    /// Forwards dropped: of a layer that the subscriber does not get.
    DropLayer => "forwards_dropped_total", "reason=layer";
    /// Packets of pictures that had to wait, so that the way to their subscriber was not overfilled.
    Paced => "paced_packets_total", "";
    /// Times that too much waited for a subscriber: all of it was given up, and its pictures began anew.
    DropPaced => "pace_queue_overflows_total", "";
    /// Subscribers that negotiated reports of what they receive and sent none: they are sent all there is, until they do.
    LinksUnanswered => "links_unanswered_total", "";
    /// Pictures that subscribers got in a better form than before.
    LayersUp => "layer_switches_total", "cause=up";
    /// Pictures that subscribers got in a lesser form, because their link carried no more.
    LayersDownBandwidth => "layer_switches_total", "cause=bandwidth";
    /// Pictures that subscribers got no more of, because their link carried too little.
    LayersPaused => "layer_switches_total", "cause=paused";
    /// Pictures that subscribers got in a lesser form, because they show them smaller.
    LayersDownView => "layer_switches_total", "cause=view";
    /// Pictures that subscribers got in a lesser form, because their publisher sent nothing better.
    LayersDownPublisher => "layer_switches_total", "cause=publisher";
    /// Probes sent: packets repeated to find out what a link carries.
    Probes => "probe_packets_total", "";
    /// Forwards dropped: too old for the rewriting to place.
    DropTooOld => "forwards_dropped_total", "reason=too_old";
    /// Forwarded media that the socket refused because its buffer was full.
    DropSocketFull => "socket_drops_total", "reason=full";
    /// Replies (STUN, DTLS, RTCP, retransmissions) dropped because too many waited.
    DropReply => "socket_drops_total", "reason=replies_full";
    /// Datagrams that the socket refused for another reason.
    DropSocketError => "socket_drops_total", "reason=error";
    /// Replies that a full socket refused and that were kept to be offered again.
    HeldSocketFull => "socket_held_total", "";
    /// Streams (TCP) accepted.
    StreamsAccepted => "streams_total", "result=accepted";
    /// Streams (TCP) refused: there are as many as there may be, or of their network.
    StreamsRefused => "streams_total", "result=refused";
    /// RTP packets handed to another worker that has subscribers for them.
    RelayOut => "relay_packets_total", "direction=sent";
    /// RTP packets taken over from another worker.
    RelayIn => "relay_packets_total", "direction=received";
    /// Bytes of RTP packets handed to another worker.
    RelayBytesOut => "relay_bytes_total", "direction=sent";
    /// Bytes of RTP packets taken over from another worker.
    RelayBytesIn => "relay_bytes_total", "direction=received";
    /// Messages to another worker dropped: its ring was full.
    RelayDropFull => "relay_drops_total", "reason=full";
    /// Messages from another worker dropped: what they are about is no longer here, or nobody wants it.
    RelayDropStale => "relay_drops_total", "reason=stale";
    /// Times that another worker was told whether a track is wanted.
    RelayDemand => "relay_demands_total", "";
    /// RTP packets copied for recordings.
    TapOut => "tap_packets_total", "result=copied";
    /// RTP packets lost to recordings: the worker's tap ring was full.
    TapDropFull => "tap_packets_total", "result=dropped";
    /// Datagrams of another worker's peers that arrived here and were handed over (one port for all workers).
    StrayOut => "stray_datagrams_total", "direction=sent";
    /// Datagrams of our peers that arrived at another worker.
    StrayIn => "stray_datagrams_total", "direction=received";
    /// Paths of another worker's peers not remembered: the table was full.
    StrayTableFull => "stray_table_full_total", "";
    /// Allocations of the relay made.
    TurnAllocated => "turn_allocations_total", "result=granted";
    /// Allocations of the relay ended.
    TurnEnded => "turn_allocations_total", "result=ended";
    /// Allocations refused: the user has as many as it may.
    TurnQuota => "turn_allocations_total", "result=quota";
    /// Allocations, permissions or channels refused: there is no room for more.
    TurnFull => "turn_allocations_total", "result=full";
    /// Requests to the relay without credentials, or with wrong or expired ones.
    TurnUnauthorized => "turn_requests_refused_total", "reason=unauthorized";
    /// Requests to the relay with a nonce that is too old or another's.
    TurnStaleNonce => "turn_requests_refused_total", "reason=stale_nonce";
    /// Peers refused: they are not on the public internet.
    TurnForbidden => "turn_requests_refused_total", "reason=forbidden_peer";
    /// Requests to the relay that cannot be carried out.
    TurnBadRequest => "turn_requests_refused_total", "reason=bad_request";
    /// Requests of strangers to the relay that got no answer: it would be too long, or there were too many of their prefix.
    TurnLimited => "turn_requests_refused_total", "reason=limited";
    /// What came to the relay and is no message of it.
    TurnMalformed => "turn_requests_refused_total", "reason=malformed";
    /// Datagrams relayed to peers.
    TurnToPeers => "turn_packets_total", "direction=to_peer";
    /// Datagrams relayed to clients.
    TurnToClients => "turn_packets_total", "direction=to_client";
    /// Bytes relayed to peers.
    TurnBytesToPeers => "turn_bytes_total", "direction=to_peer";
    /// Bytes relayed to clients.
    TurnBytesToClients => "turn_bytes_total", "direction=to_client";
    /// Data dropped: of a client without an allocation.
    TurnDropNoAllocation => "turn_drops_total", "reason=no_allocation";
    /// Data dropped: to or from a peer without a permission.
    TurnDropNoPermission => "turn_drops_total", "reason=no_permission";
    /// Data dropped: to a peer that may not be sent to.
    TurnDropForbidden => "turn_drops_total", "reason=forbidden_peer";
    /// Data dropped: the allocation has relayed as much as it may.
    TurnDropAllowance => "turn_drops_total", "reason=allowance";
    /// Data dropped: too long for what it is wrapped in.
    TurnDropTooLong => "turn_drops_total", "reason=too_long";
    /// Data or answers dropped: more came in one batch than there is room for.
    TurnDropFull => "turn_drops_total", "reason=full";
    /// Peers whose data channels have opened.
    DataOpened => "data_connections_total", "result=opened";
    /// Peers that have closed their data channels.
    DataClosed => "data_connections_total", "result=closed";
    /// Peers whose data channels were closed because more waited for them than is kept.
    DataTooSlow => "data_connections_total", "result=too_slow";
    /// Peers whose data channels were closed because they broke the rules of SCTP.
    DataMisuse => "data_connections_total", "result=misuse";
    /// Messages that came on data channels.
    DataIn => "data_messages_total", "direction=received";
    /// Messages put on data channels.
    DataOut => "data_messages_total", "direction=sent";
    /// Bytes of messages that came on data channels.
    DataBytesIn => "data_bytes_total", "direction=received";
    /// Bytes of messages put on data channels.
    DataBytesOut => "data_bytes_total", "direction=sent";
    /// SCTP packets or chunks dropped: they cannot be read.
    DataDropMalformed => "data_drops_total", "reason=malformed";
    /// SCTP chunks dropped: of a kind, or at a time, that is not foreseen.
    DataDropUnexpected => "data_drops_total", "reason=unexpected";
    /// SCTP chunks dropped: too far ahead of what is missing, or more than is kept.
    DataDropWindow => "data_drops_total", "reason=window";
    /// SCTP chunks dropped: too many a second.
    DataDropChunks => "data_drops_total", "reason=chunk_rate";
    /// Messages dropped: lossy ones, too many or too much a second.
    DataDropRate => "data_drops_total", "reason=message_rate";
    /// Messages dropped: too long, for us or for their receiver.
    DataDropTooLong => "data_drops_total", "reason=too_long";
    /// Messages dropped: lossy ones for a peer for whom too much waits.
    DataDropFull => "data_drops_total", "reason=full";
    /// Messages dropped: for a peer whose channels have just closed, or on a stream that is no channel.
    DataDropNoChannel => "data_drops_total", "reason=no_channel";
    /// Commands that named something unknown.
    CommandUnknown => "commands_ignored_total", "";
    /// Panics caught in a room's dispatch.
    RoomPanic => "room_panics_total", "";
    /// Turns of the worker's loop: each wake-up is one.
    Ticks => "worker_ticks_total", "";
}

/// The counters of one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Counters {
    values: [u64; Counter::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self { values: [0; Counter::ALL.len()] }
    }
}

impl Counters {
    /// Adds one.
    pub fn add(&mut self, counter: Counter) {
        self.add_many(counter, 1);
    }

    /// Adds `n`.
    pub fn add_many(&mut self, counter: Counter, n: u64) {
        let value = &mut self.values[counter as usize];
        *value = value.wrapping_add(n);
    }

    /// Adds what others have counted.
    pub fn add_all(&mut self, others: &Counters) {
        self.values.iter_mut().zip(others.values).for_each(|(value, other)| *value = value.wrapping_add(other));
    }

    /// The value so far.
    pub const fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize]
    }
}

/// Bytes that a worker holds, by what they are for. Of peers, as they were in their last turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Recent packets of published tracks.
    pub caches: u64,
    /// Connections, without what follows.
    pub peers: u64,
    /// Subscriptions.
    pub legs: u64,
    /// DTLS.
    pub handshakes: u64,
    /// Datagrams of the present tick, received and to be sent.
    pub arenas: u64,
}

/// What a worker publishes about itself, about once a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerReport {
    /// Cumulative counters.
    pub counters: Counters,
    /// Rooms it holds now.
    pub rooms: u64,
    /// Connections it holds now.
    pub peers: u64,
    /// Tracks published to it now.
    pub tracks: u64,
    /// Tracks of its rooms that are published to other workers, and that somebody here receives.
    pub imports: u64,
    /// Subscriptions (legs pointed at a track) it holds now.
    pub legs: u64,
    /// Streams (TCP) it holds now.
    pub streams: u64,
    /// Allocations of its relay now.
    pub allocations: u64,
    /// What it has measured: cumulative.
    pub distributions: Distributions,
    /// What it holds.
    pub memory: Memory,
    /// CPU time that the worker's thread has used, in microseconds.
    pub busy_micros: u64,
}

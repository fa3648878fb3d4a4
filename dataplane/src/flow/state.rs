//! What a flow is up to, as far as its packets tell.
//!
//! The states and their meanings are those of Linux conntrack (`nf_conntrack_proto_tcp.c`), with
//! three differences: who sent a FIN is remembered, so that a retransmitted FIN is not taken for
//! the other side's; a RST is believed only until the side that it claimed to come from goes on
//! talking, because a forged or out-of-window RST does not end a connection at its ends; and a
//! connection picked up in its middle has a state of its own until the backend answers.
//!
//! Sequence numbers are not followed: nothing here decides what a packet may do, only how long a
//! silent flow is kept and which flows may be evicted.

use super::key::Direction;

/// TCP flag bits as they stand in the header (RFC 9293, section 3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Flag bits that a transition can depend on, and those between them.
const FLAG_MASK: u8 = 31;

/// The state of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum State {
    /// TCP: a SYN from the client.
    SynSent,
    /// TCP: a SYN-ACK from the backend.
    SynReceived,
    /// TCP: first seen in its middle, as after a restart; the backend has not answered yet.
    PickedUp,
    /// TCP: the handshake is complete.
    Established,
    /// TCP: a FIN from the client.
    FinWaitForward,
    /// TCP: a FIN from the backend.
    FinWaitReply,
    /// TCP: a FIN from the client, answered; the backend may go on sending.
    CloseWaitForward,
    /// TCP: a FIN from the backend, answered; the client may go on sending.
    CloseWaitReply,
    /// TCP: FINs from both, the client's last.
    LastAckForward,
    /// TCP: FINs from both, the backend's last.
    LastAckReply,
    /// TCP: the last FIN was answered.
    TimeWait,
    /// TCP: a RST that claimed to come from the client.
    CloseForward,
    /// TCP: a RST that claimed to come from the backend.
    CloseReply,
    /// TCP: a RST that claimed to come from the client before the backend had ever answered.
    CloseUnreplied,
    /// UDP: only the client has sent.
    UdpUnreplied,
    /// UDP: both sides have sent.
    UdpReplied,
}

/// In which order flows give way when the table is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EvictionClass {
    /// The other side has not taken part, or the handshake is unfinished.
    Unreplied,
    /// TCP on its way out.
    Closing,
    /// UDP with answers.
    Udp,
}

impl EvictionClass {
    pub(super) const COUNT: usize = 3;
    /// First to go first.
    pub(super) const IN_ORDER: [Self; Self::COUNT] = [Self::Unreplied, Self::Closing, Self::Udp];
}

impl State {
    pub(super) const COUNT: usize = 16;

    /// All states, each at its own number.
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::SynSent,
        Self::SynReceived,
        Self::PickedUp,
        Self::Established,
        Self::FinWaitForward,
        Self::FinWaitReply,
        Self::CloseWaitForward,
        Self::CloseWaitReply,
        Self::LastAckForward,
        Self::LastAckReply,
        Self::TimeWait,
        Self::CloseForward,
        Self::CloseReply,
        Self::CloseUnreplied,
        Self::UdpUnreplied,
        Self::UdpReplied,
    ];

    /// The state of a TCP connection whose first packet, from the client, has these flags.
    pub(super) const fn of_first_segment(tcp_flags: u8) -> Self {
        match Segment::of(tcp_flags) {
            Segment::Syn => Self::SynSent,
            Segment::Rst => Self::CloseUnreplied,
            Segment::SynAck | Segment::Fin | Segment::Other => Self::PickedUp,
        }
    }

    /// The state after one more packet. UDP has no flags: zero.
    #[inline]
    pub(super) fn next(self, direction: Direction, tcp_flags: u8) -> Self {
        NEXT[self as usize][direction as usize][(tcp_flags & FLAG_MASK) as usize]
    }

    /// When flows in this state are evicted from a full table; `None` for never.
    pub(super) const fn eviction_class(self) -> Option<EvictionClass> {
        match self {
            Self::SynSent
            | Self::SynReceived
            | Self::PickedUp
            | Self::CloseUnreplied
            | Self::UdpUnreplied => Some(EvictionClass::Unreplied),
            Self::Established => None,
            Self::FinWaitForward
            | Self::FinWaitReply
            | Self::CloseWaitForward
            | Self::CloseWaitReply
            | Self::LastAckForward
            | Self::LastAckReply
            | Self::TimeWait
            | Self::CloseForward
            | Self::CloseReply => Some(EvictionClass::Closing),
            Self::UdpReplied => Some(EvictionClass::Udp),
        }
    }

    /// Whether a client's plain SYN in this state opens a new connection on the old ports
    /// (RFC 9293, section 3.6.1), rather than being a retransmission or a stray.
    pub const fn accepts_new_syn(self) -> bool {
        matches!(
            self,
            Self::CloseWaitForward
                | Self::CloseWaitReply
                | Self::LastAckForward
                | Self::LastAckReply
                | Self::TimeWait
                | Self::CloseForward
                | Self::CloseReply
                | Self::CloseUnreplied
        )
    }

    /// The state's name as Linux conntrack prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECV",
            Self::PickedUp => "PICKED_UP",
            Self::Established => "ESTABLISHED",
            Self::FinWaitForward | Self::FinWaitReply => "FIN_WAIT",
            Self::CloseWaitForward | Self::CloseWaitReply => "CLOSE_WAIT",
            Self::LastAckForward | Self::LastAckReply => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::CloseForward | Self::CloseReply | Self::CloseUnreplied => "CLOSE",
            Self::UdpUnreplied => "UNREPLIED",
            Self::UdpReplied => "REPLIED",
        }
    }
}

/// What a TCP segment means to the state. RST wins over everything, SYN over FIN.
#[derive(Clone, Copy)]
enum Segment {
    Syn,
    SynAck,
    Fin,
    Rst,
    Other,
}

impl Segment {
    const fn of(tcp_flags: u8) -> Self {
        if tcp_flags & RST != 0 {
            Self::Rst
        } else if tcp_flags & SYN != 0 {
            if tcp_flags & ACK != 0 { Self::SynAck } else { Self::Syn }
        } else if tcp_flags & FIN != 0 {
            Self::Fin
        } else {
            Self::Other
        }
    }
}

type Row = [State; FLAG_MASK as usize + 1];

/// Every transition, computed at compile time: a packet costs one load.
static NEXT: [[Row; 2]; State::COUNT] = {
    let mut table = [[[State::SynSent; FLAG_MASK as usize + 1]; 2]; State::COUNT];
    let mut state = 0;
    while state < State::COUNT {
        let mut flags = 0;
        while flags <= FLAG_MASK {
            let (from, segment) = (State::ALL[state], Segment::of(flags));
            table[state][Direction::Forward as usize][flags as usize] = forward(from, segment);
            table[state][Direction::Reply as usize][flags as usize] = reply(from, segment);
            flags += 1;
        }
        state += 1;
    }
    table
};

/// The transition on a packet from the client.
const fn forward(state: State, segment: Segment) -> State {
    use Segment::{Fin, Other, Rst, Syn, SynAck};
    use State::*;
    match (state, segment) {
        (SynSent | PickedUp, Rst) => CloseUnreplied,
        (PickedUp, Syn) => SynSent,
        (SynReceived, SynAck | Other) => Established,
        (SynReceived | Established, Fin) => FinWaitForward,
        (FinWaitReply, Fin) => LastAckForward,
        (FinWaitReply, Other) => CloseWaitReply,
        (CloseWaitReply, Fin) => LastAckForward,
        (LastAckReply, Other) => TimeWait,
        // The claimed sender of the RST goes on talking: it was not the sender.
        (CloseForward, Other) => Established,
        (CloseForward, Fin) => FinWaitForward,
        (CloseUnreplied, Fin | Other) => PickedUp,
        (
            SynReceived | Established | FinWaitForward | FinWaitReply | CloseWaitForward
            | CloseWaitReply,
            Rst,
        ) => CloseForward,
        (unchanged, _) => unchanged,
    }
}

/// The transition on a packet from the backend.
const fn reply(state: State, segment: Segment) -> State {
    use Segment::{Fin, Other, Rst, Syn, SynAck};
    use State::*;
    match (state, segment) {
        // A SYN alone is a simultaneous open (RFC 9293, section 3.5).
        (SynSent | PickedUp | CloseUnreplied, Syn | SynAck) => SynReceived,
        (PickedUp | CloseUnreplied, Other) => Established,
        (SynReceived | Established | PickedUp | CloseUnreplied, Fin) => FinWaitReply,
        (FinWaitForward, Fin) => LastAckReply,
        (FinWaitForward, Other) => CloseWaitForward,
        (CloseWaitForward, Fin) => LastAckReply,
        (LastAckForward, Other) => TimeWait,
        // The claimed sender of the RST goes on talking: it was not the sender.
        (CloseReply, SynAck) => SynReceived,
        (CloseReply, Other) => Established,
        (CloseReply, Fin) => FinWaitReply,
        (
            SynSent | SynReceived | PickedUp | Established | FinWaitForward | FinWaitReply
            | CloseWaitForward | CloseWaitReply,
            Rst,
        ) => CloseReply,
        (UdpUnreplied, _) => UdpReplied,
        (unchanged, _) => unchanged,
    }
}

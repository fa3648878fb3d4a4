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
use super::state::State;

/// TCP flag bits as they stand in the header (RFC 9293, section 3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Flag bits that a transition can depend on, and those between them.
const FLAG_MASK: u8 = 31;

impl State {
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

#[cfg(test)]
mod tests {
    use super::super::state::EvictionClass;
    use super::*;
    use Direction::{Forward, Reply};

    const SYN_ACK: u8 = SYN | ACK;
    const FIN_ACK: u8 = FIN | ACK;
    const RST_ACK: u8 = RST | ACK;

    /// Follows segments from a flow's first one, and names the states it is in after each.
    fn check(first: u8, segments: &[(Direction, u8)], states: &[State]) {
        let mut state = State::of_first_segment(first);
        let mut seen = vec![state];
        for &(direction, flags) in segments {
            state = state.next(direction, flags);
            seen.push(state);
        }
        assert_eq!(seen, states);
    }

    #[test]
    fn a_connection_opened_and_closed_by_the_client() {
        use State::*;
        check(
            SYN,
            &[
                (Forward, SYN),
                (Reply, SYN_ACK),
                (Forward, ACK),
                (Reply, ACK),
                (Forward, FIN_ACK),
                (Forward, FIN_ACK),
                (Reply, ACK),
                (Reply, FIN_ACK),
                (Reply, FIN_ACK),
                (Forward, ACK),
                (Reply, FIN_ACK),
                (Forward, ACK),
            ],
            &[
                SynSent,
                SynSent,
                SynReceived,
                Established,
                Established,
                FinWaitForward,
                FinWaitForward,
                CloseWaitForward,
                LastAckReply,
                LastAckReply,
                TimeWait,
                TimeWait,
                TimeWait,
            ],
        );
    }

    #[test]
    fn a_connection_closed_by_the_backend_or_by_both_at_once() {
        use State::*;
        let open = [(Reply, SYN_ACK), (Forward, ACK)];
        let close = [(Reply, FIN_ACK), (Forward, ACK), (Forward, FIN_ACK), (Reply, ACK)];
        check(
            SYN,
            &[open.as_slice(), &close].concat(),
            &[
                SynSent,
                SynReceived,
                Established,
                FinWaitReply,
                CloseWaitReply,
                LastAckForward,
                TimeWait,
            ],
        );
        let close = [(Forward, FIN_ACK), (Reply, FIN_ACK), (Forward, ACK)];
        check(
            SYN,
            &[open.as_slice(), &close].concat(),
            &[SynSent, SynReceived, Established, FinWaitForward, LastAckReply, TimeWait],
        );
    }

    #[test]
    fn a_refused_connection_is_closed() {
        check(SYN, &[(Reply, RST_ACK)], &[State::SynSent, State::CloseReply]);
    }

    #[test]
    fn a_connection_picked_up_is_established_once_the_backend_answers() {
        use State::*;
        check(ACK, &[(Forward, ACK), (Reply, ACK)], &[PickedUp, PickedUp, Established]);
        check(FIN_ACK, &[(Reply, FIN_ACK)], &[PickedUp, FinWaitReply]);
    }

    #[test]
    fn a_reset_that_its_claimed_sender_contradicts_is_forgotten() {
        use State::*;
        let open = [(Reply, SYN_ACK), (Forward, ACK)];
        // The other side's packets prove nothing: they were on their way.
        let by_client = [(Forward, RST), (Reply, ACK), (Forward, ACK)];
        check(
            SYN,
            &[open.as_slice(), &by_client].concat(),
            &[SynSent, SynReceived, Established, CloseForward, CloseForward, Established],
        );
        let by_backend = [(Reply, RST), (Forward, ACK), (Reply, FIN_ACK)];
        check(
            SYN,
            &[open.as_slice(), &by_backend].concat(),
            &[SynSent, SynReceived, Established, CloseReply, CloseReply, FinWaitReply],
        );
        check(SYN, &[(Reply, RST), (Reply, SYN_ACK)], &[SynSent, CloseReply, SynReceived]);
    }

    #[test]
    fn a_client_alone_never_establishes_anything() {
        // Established flows are never evicted: nobody may make one without an answer.
        let mut reached = vec![State::SynSent, State::PickedUp, State::CloseUnreplied];
        let mut at = 0;
        while let Some(&state) = reached.get(at) {
            assert_eq!(state.eviction_class(), Some(EvictionClass::Unreplied), "{state:?}");
            for flags in 0..=u8::MAX {
                let next = state.next(Forward, flags);
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
            at += 1;
        }
    }

    #[test]
    fn a_stray_syn_changes_nothing_in_an_open_connection() {
        assert_eq!(State::Established.next(Forward, SYN), State::Established);
        assert_eq!(State::Established.next(Reply, SYN_ACK), State::Established);
        assert!(!State::Established.accepts_new_syn() && !State::FinWaitForward.accepts_new_syn());
        assert!(State::TimeWait.accepts_new_syn() && State::CloseReply.accepts_new_syn());
    }

    #[test]
    fn udp_is_replied_once_the_backend_answers() {
        assert_eq!(State::UdpUnreplied.next(Forward, 0), State::UdpUnreplied);
        assert_eq!(State::UdpUnreplied.next(Reply, 0), State::UdpReplied);
        assert_eq!(State::UdpReplied.next(Forward, 0), State::UdpReplied);
    }
}

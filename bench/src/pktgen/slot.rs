//! One flow as its client knows it. For TCP as much of a connection as a dataplane looks at.

use super::packet::{Tcp, flags};
use super::tuples::Tuple;

/// How far a flow has come. UDP flows are open from the first packet on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Nothing was sent yet, or nothing is sent any more.
    Closed,
    /// A SYN was sent.
    Opening,
    /// Data may be sent.
    Open,
    /// A FIN was sent.
    Closing,
}

/// What a reply means for its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Nothing new.
    None,
    /// The connection is there.
    Opened,
    /// The other side has closed it, too, and waits for an acknowledgement.
    Closed,
}

/// A place for a flow; when one is over, another takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Both ends.
    pub(crate) tuple: Tuple,
    /// How far it has come.
    pub(crate) state: State,
    /// Changes with every flow that takes the place.
    pub(crate) odd: bool,
    sequence: u32,
    acknowledgement: u32,
}

impl Slot {
    /// For a first flow.
    pub(crate) fn new(tuple: Tuple, sequence: u32) -> Self {
        Self { tuple, state: State::Closed, odd: false, sequence, acknowledgement: 0 }
    }

    /// Another flow takes the place.
    pub(crate) fn replace(&mut self, tuple: Tuple) {
        self.tuple = tuple;
        self.odd = !self.odd;
        self.state = State::Closed;
        // Beyond what the last one can have reached: no copy of it can be taken for the new one's.
        self.sequence = self.sequence.wrapping_add(1 << 30);
    }

    /// Numbers of the segment that opens it.
    pub(crate) fn syn(&mut self) -> Tcp {
        self.state = State::Opening;
        Tcp { sequence: self.sequence, acknowledgement: 0, flags: flags::SYN, data: 0 }
    }

    /// Numbers of the next segment with so much data.
    pub(crate) fn data(&mut self, bytes: u32) -> Tcp {
        let tcp = self.numbers(flags::PSH | flags::ACK);
        self.sequence = self.sequence.wrapping_add(bytes);
        tcp
    }

    /// Numbers of the segment that closes it; the same if it is sent again.
    pub(crate) fn fin(&mut self) -> Tcp {
        self.state = State::Closing;
        self.numbers(flags::FIN | flags::ACK)
    }

    /// Numbers of the last segment of all.
    pub(crate) fn last_ack(&mut self) -> Tcp {
        self.numbers(flags::ACK)
    }

    fn numbers(&self, flags: u8) -> Tcp {
        let (sequence, acknowledgement) = (self.sequence, self.acknowledgement);
        Tcp { sequence, acknowledgement, flags, data: 0 }
    }

    /// Takes note of what came back.
    pub(crate) fn receive(&mut self, tcp: &Tcp) -> Progress {
        let counts = u32::from(tcp.flags & (flags::SYN | flags::FIN) != 0);
        let next = tcp.sequence.wrapping_add(tcp.data + counts);
        match self.state {
            State::Opening
                if tcp.flags & (flags::SYN | flags::ACK) == flags::SYN | flags::ACK
                    && tcp.acknowledgement == self.sequence.wrapping_add(1) =>
            {
                self.state = State::Open;
                self.sequence = tcp.acknowledgement;
                self.acknowledgement = next;
                Progress::Opened
            }
            State::Open | State::Closing if tcp.flags & flags::SYN == 0 => {
                if is_after(next, self.acknowledgement) {
                    self.acknowledgement = next;
                }
                if self.state == State::Closing && tcp.flags & flags::FIN != 0 {
                    self.state = State::Closed;
                    self.sequence = self.sequence.wrapping_add(1);
                    return Progress::Closed;
                }
                Progress::None
            }
            _ => Progress::None,
        }
    }
}

/// In the arithmetic of sequence numbers (RFC 9293, section 3.4).
fn is_after(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::answer::tcp_answer;

    fn slot() -> Slot {
        let end = |text: &str| (text.parse().expect("an address"), 80);
        let tuple = Tuple { source: end("10.0.0.1"), destination: end("10.0.0.2") };
        Slot::new(tuple, u32::MAX - 3)
    }

    #[test]
    fn a_connection_goes_from_syn_to_fin_over_the_end_of_the_numbers() {
        let mut slot = slot();
        let syn = slot.syn();
        let answer = tcp_answer(&syn).expect("SYN-ACK");
        assert_eq!(slot.receive(&answer), Progress::Opened);
        assert_eq!(slot.receive(&answer), Progress::None);
        for _ in 0..3 {
            let data = Tcp { data: 18, ..slot.data(18) };
            assert_eq!(slot.receive(&tcp_answer(&data).expect("data")), Progress::None);
        }
        assert_eq!(slot.numbers(0).sequence, (u32::MAX - 2).wrapping_add(54));
        let fin = slot.fin();
        assert_eq!(slot.fin(), fin);
        assert_eq!(slot.receive(&tcp_answer(&fin).expect("FIN-ACK")), Progress::Closed);
        assert_eq!(slot.last_ack().sequence, fin.sequence.wrapping_add(1));
        assert_eq!(slot.state, State::Closed);
    }

    #[test]
    fn an_old_answer_opens_nothing() {
        let mut slot = slot();
        let stale = tcp_answer(&slot.syn()).expect("SYN-ACK");
        slot.replace(slot.tuple);
        slot.syn();
        assert_eq!(slot.receive(&stale), Progress::None);
        assert_eq!(slot.state, State::Opening);
    }
}

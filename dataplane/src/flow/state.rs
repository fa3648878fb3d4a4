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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stand_at_their_numbers() {
        for (number, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number);
        }
    }
}

use std::ops::RangeInclusive;

use super::state::State;

/// Most flows one table can be asked to hold; bounded by the hash bits that address buckets.
pub const MAX_CAPACITY_FLOWS: u32 = 1 << 24;

const CAPACITY_RANGE: RangeInclusive<u64> = 1..=MAX_CAPACITY_FLOWS as u64;
/// From a second to a week (Linux keeps established connections for five days).
const TIMEOUT_RANGE_MS: RangeInclusive<u64> = 1_000..=7 * 24 * 3_600 * 1_000;

/// The size of one worker's flow table and the patience it has with silent flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowConfig {
    /// How many flows fit, 1 to [`MAX_CAPACITY_FLOWS`]. All memory is taken at the start: about
    /// 180 to 210 bytes a flow.
    pub capacity_flows: u32,
    /// How long a flow may be silent.
    pub timeouts: Timeouts,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self { capacity_flows: 1 << 18, timeouts: Timeouts::default() }
    }
}

/// How long a flow may be silent before it is forgotten, in milliseconds, each from a second to
/// a week.
///
/// The defaults are those of Linux conntrack (`nf_conntrack_proto_tcp.c`,
/// `nf_conntrack_proto_udp.c`), with kube-proxy's 24 hours for established connections
/// (`conntrack.tcpEstablishedTimeout`) and its hour for half-closed ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// TCP: the client's SYN was seen, or a connection was picked up in its middle and the
    /// backend has not answered yet.
    pub syn_sent_ms: u32,
    /// TCP: the backend's SYN-ACK was seen.
    pub syn_received_ms: u32,
    /// TCP: the handshake is complete.
    pub established_ms: u32,
    /// TCP: one side has sent a FIN.
    pub fin_wait_ms: u32,
    /// TCP: one side has sent a FIN and the other has answered without one.
    pub close_wait_ms: u32,
    /// TCP: both sides have sent a FIN.
    pub last_ack_ms: u32,
    /// TCP: both FINs were answered.
    pub time_wait_ms: u32,
    /// TCP: a RST was seen.
    pub close_ms: u32,
    /// UDP: only the client has sent.
    pub udp_unreplied_ms: u32,
    /// UDP: the backend has answered.
    pub udp_replied_ms: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            syn_sent_ms: 120_000,
            syn_received_ms: 60_000,
            established_ms: 24 * 3_600 * 1_000,
            fin_wait_ms: 120_000,
            close_wait_ms: 3_600 * 1_000,
            last_ack_ms: 30_000,
            time_wait_ms: 120_000,
            close_ms: 10_000,
            udp_unreplied_ms: 30_000,
            udp_replied_ms: 180_000,
        }
    }
}

impl Timeouts {
    /// One timeout for each state, to be indexed by [`State`].
    pub(super) fn by_state(&self) -> [u32; State::COUNT] {
        State::ALL.map(|state| match state {
            State::SynSent | State::PickedUp => self.syn_sent_ms,
            State::SynReceived => self.syn_received_ms,
            State::Established => self.established_ms,
            State::FinWaitForward | State::FinWaitReply => self.fin_wait_ms,
            State::CloseWaitForward | State::CloseWaitReply => self.close_wait_ms,
            State::LastAckForward | State::LastAckReply => self.last_ack_ms,
            State::TimeWait => self.time_wait_ms,
            State::CloseForward | State::CloseReply | State::CloseUnreplied => self.close_ms,
            State::UdpUnreplied => self.udp_unreplied_ms,
            State::UdpReplied => self.udp_replied_ms,
        })
    }

    fn fields(&self) -> [(&'static str, u32); 10] {
        [
            ("timeouts.syn_sent_ms", self.syn_sent_ms),
            ("timeouts.syn_received_ms", self.syn_received_ms),
            ("timeouts.established_ms", self.established_ms),
            ("timeouts.fin_wait_ms", self.fin_wait_ms),
            ("timeouts.close_wait_ms", self.close_wait_ms),
            ("timeouts.last_ack_ms", self.last_ack_ms),
            ("timeouts.time_wait_ms", self.time_wait_ms),
            ("timeouts.close_ms", self.close_ms),
            ("timeouts.udp_unreplied_ms", self.udp_unreplied_ms),
            ("timeouts.udp_replied_ms", self.udp_replied_ms),
        ]
    }
}

impl FlowConfig {
    /// Checks every field against its range.
    pub fn check(&self) -> Result<(), FlowConfigError> {
        check_range("capacity_flows", self.capacity_flows, &CAPACITY_RANGE)?;
        self.timeouts
            .fields()
            .into_iter()
            .try_for_each(|(field, value)| check_range(field, value, &TIMEOUT_RANGE_MS))
    }
}

fn check_range(
    field: &'static str,
    value: u32,
    range: &RangeInclusive<u64>,
) -> Result<(), FlowConfigError> {
    let value = u64::from(value);
    if range.contains(&value) {
        return Ok(());
    }
    Err(FlowConfigError { field, value, min: *range.start(), max: *range.end() })
}

/// A field of [`FlowConfig`] is out of its range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("flow table: {field} is {value}, but must be from {min} to {max}")]
pub struct FlowConfigError {
    /// The field's name.
    pub field: &'static str,
    /// What it was set to.
    pub value: u64,
    /// The least it may be.
    pub min: u64,
    /// The most it may be.
    pub max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(FlowConfig::default().check(), Ok(()));
    }

    #[test]
    fn an_error_names_field_value_and_range() {
        let config = FlowConfig { capacity_flows: 0, ..FlowConfig::default() };
        assert_eq!(
            config.check().map_err(|error| error.to_string()),
            Err("flow table: capacity_flows is 0, but must be from 1 to 16777216".into())
        );
        let timeouts = Timeouts { close_ms: 999, ..Timeouts::default() };
        let config = FlowConfig { timeouts, ..FlowConfig::default() };
        assert_eq!(config.check().map_err(|error| error.field), Err("timeouts.close_ms"));
    }
}

use crate::error::Result;
use crate::namespace::Namespace;

use super::command::ip;

/// The end that workers take packets from.
pub(crate) const OUTER: &str = "mlg0";
/// The kernel's end.
pub(crate) const INNER: &str = "mlg1";
/// Of the agent's host port (`maglane agent --mtu`).
const MTU: u16 = 3_498;
/// An address of its own: one that begins as a message does would be taken for one.
const INNER_MAC: &str = "02:6d:6c:67:00:01";

/// A host port as the agent makes it, for others in its place. Dropped, it is taken away.
pub(crate) struct HostPort(Namespace);

impl HostPort {
    /// Makes it on a node, with a queue for each worker.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn make(node: &Namespace, workers: u32) -> Result<Self> {
        let end = format!("mtu {MTU} numtxqueues {workers} numrxqueues {workers}");
        let add = format!("link add {OUTER} {end} type veth peer name {INNER} address {INNER_MAC}");
        node.run(|| ip(&format!("{add} {end}")))?;
        let host_port = Self(node.clone());
        let up = |end| ip(&format!("link set {end} arp off up"));
        node.run(|| [OUTER, INNER].into_iter().try_for_each(up))?;
        Ok(host_port)
    }
}

impl Drop for HostPort {
    fn drop(&mut self) {
        // At the latest it goes with the node.
        let _ = self.0.run(|| ip(&format!("link del {OUTER}")));
    }
}

//! Follows the neighbourhood: a netlink message is a hint to look again, and looking is a dump.
//!
//! A burst of messages (a Pod that starts makes a dozen) is answered by one look. When messages
//! were lost because the socket was full, nothing is lost but a hint, of which there was one.

use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};

use super::error::{NetError, Result};
use super::neighbourhood::{self, Neighbourhood};
use super::netlink;
use super::{host_port, link};

/// How long a burst may go on before it is looked at.
const COALESCE: Duration = Duration::from_millis(5);

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// The neighbourhood, and word of its changes.
#[derive(Debug)]
pub(crate) struct Watch {
    handle: Handle,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    ports: Vec<String>,
    current: Neighbourhood,
    /// Something was heard that `current` may not know yet.
    stale: bool,
}

impl Watch {
    /// Subscribes and reads the neighbourhood of the calling thread's network namespace.
    /// `ports` are the names of the XDP ports. Needs a tokio runtime.
    pub(crate) async fn start(ports: Vec<String>) -> Result<Self> {
        // Subscribe first, read then: what happens in between is heard.
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(netlink::open_error)?;
        tokio::spawn(connection);
        let current = neighbourhood::read(&handle, &ports).await?;
        Ok(Self { handle, messages, ports, current, stale: false })
    }

    /// The neighbourhood when it was last read.
    pub(crate) fn current(&self) -> &Neighbourhood {
        &self.current
    }

    /// Packets that the kernel dropped at the host port and the XDP ports: (where, how many).
    pub(crate) async fn dropped(&self) -> Result<Vec<(String, u64)>> {
        let mut counts = Vec::new();
        let host_port = [host_port::SOCKET_END, host_port::KERNEL_END];
        for name in host_port.into_iter().chain(self.ports.iter().map(String::as_str)) {
            if let Some((received, sent)) = link::dropped(&self.handle, name).await? {
                counts.push((format!("{name}_rx_dropped"), received));
                counts.push((format!("{name}_tx_dropped"), sent));
            }
        }
        Ok(counts)
    }

    /// Reads the neighbourhood now, whatever was heard. True when it differs from the last.
    pub(crate) async fn refresh(&mut self) -> Result<bool> {
        self.stale = true;
        self.look().await
    }

    /// Waits until the neighbourhood differs from [`current`](Self::current), and returns it.
    ///
    /// Cancel safe: what was heard is not forgotten when the future is dropped.
    pub(crate) async fn changed(&mut self) -> Result<&Neighbourhood> {
        loop {
            while !self.stale {
                let (message, _) = self.messages.next().await.ok_or(NetError::Closed)?;
                self.stale = concerns(&message.payload);
            }
            tokio::time::sleep(COALESCE).await;
            if self.look().await? {
                return Ok(&self.current);
            }
        }
    }

    async fn look(&mut self) -> Result<bool> {
        // What is queued was sent before the dump begins, so the dump knows it.
        while self.messages.try_recv().is_ok() {}
        let found = neighbourhood::read(&self.handle, &self.ports).await?;
        self.stale = false;
        let differs = found != self.current;
        self.current = found;
        Ok(differs)
    }
}

/// Whether a message can be about the neighbourhood. A node may hold a routing table of its
/// network's, which changes often, and of which only host routes matter.
fn concerns(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    match payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
        ) => neighbourhood::is_host_route(route),
        _ => true,
    }
}

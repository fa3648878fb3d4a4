//! Follows the neighbourhood: a netlink message is a hint to look again, and looking is a dump.
//!
//! A burst of messages (a Pod that starts makes a dozen) is answered by one look. When messages
//! were lost because the socket was full, nothing is lost but a hint, of which there was one. A task
//! of its own looks, one look after the other: whoever waits for it may be busy with other things,
//! and no look is begun in vain.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::error::{NetError, Result};
use super::neighbourhood::{self, Neighbourhood};
use super::netlink;
use super::{host_port, link};

/// How long a burst may go on before it is looked at.
const COALESCE: Duration = Duration::from_millis(5);
/// Until what could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// Told once the look that was asked for is over.
type Looked = oneshot::Sender<Result<()>>;

/// The neighbourhood, and word of its changes.
#[derive(Debug)]
pub(crate) struct Watch {
    handle: Handle,
    ports: Vec<String>,
    current: Arc<Neighbourhood>,
    seen: watch::Receiver<Arc<Neighbourhood>>,
    requests: mpsc::Sender<Looked>,
    /// Ends with the watch.
    _looking: JoinSet<()>,
}

impl Watch {
    /// Subscribes and reads the neighbourhood of the calling thread's network namespace.
    /// `ports` are the names of the XDP ports. Needs a tokio runtime.
    pub(crate) async fn start(ports: Vec<String>) -> Result<Self> {
        // Subscribe first, read then: what happens in between is heard.
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(netlink::open_error)?;
        tokio::spawn(connection);
        let current = Arc::new(neighbourhood::read(&handle, &ports).await?);
        let (found, seen) = watch::channel(current.clone());
        let (requests, asked) = mpsc::channel(1);
        let look = Looking { handle: handle.clone(), messages, ports: ports.clone(), found };
        let mut looking = JoinSet::new();
        looking.spawn(look.run(asked));
        Ok(Self { handle, ports, current, seen, requests, _looking: looking })
    }

    /// The neighbourhood as it was last returned or asked for.
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

    /// Reads the neighbourhood now, whatever was heard.
    pub(crate) async fn refresh(&mut self) -> Result<&Neighbourhood> {
        let (looked, answer) = oneshot::channel();
        self.requests.send(looked).await.map_err(|_| NetError::Closed)?;
        answer.await.map_err(|_| NetError::Closed)??;
        self.current = self.seen.borrow_and_update().clone();
        Ok(&self.current)
    }

    /// Waits until the neighbourhood differs from [`current`](Self::current), and returns it.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`NetError::Closed`]: nothing can be followed any more.
    pub(crate) async fn changed(&mut self) -> Result<&Neighbourhood> {
        self.seen.changed().await.map_err(|_| NetError::Closed)?;
        self.current = self.seen.borrow_and_update().clone();
        Ok(&self.current)
    }
}

/// Who looks.
struct Looking {
    handle: Handle,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    ports: Vec<String>,
    found: watch::Sender<Arc<Neighbourhood>>,
}

impl Looking {
    /// Until there are no more messages.
    async fn run(mut self, mut asked: mpsc::Receiver<Looked>) {
        loop {
            tokio::select! {
                message = self.messages.next() => match message {
                    Some((message, _)) if self.concerns(&message.payload) => {}
                    Some(_) => continue,
                    None => return,
                },
                Some(looked) = asked.recv() => {
                    let _ = looked.send(self.look().await);
                    continue;
                }
            }
            tokio::time::sleep(COALESCE).await;
            while let Err(error) = self.look().await {
                tracing::warn!("{error}, trying again");
                tokio::time::sleep(RETRY).await;
                if self.messages.try_recv().is_err_and(|error| error.is_closed()) {
                    return;
                }
            }
        }
    }

    /// Whether a message can be about the neighbourhood. A node may hold a routing table of its
    /// network's, which changes often, and of which few routes matter.
    fn concerns(&self, payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
        match payload {
            NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
            ) => neighbourhood::concerns(route, &self.found.borrow().host_port),
            _ => true,
        }
    }

    async fn look(&mut self) -> Result<()> {
        // What is queued was sent before the dump begins, so the dump knows it.
        while self.messages.try_recv().is_ok() {}
        let now = neighbourhood::read(&self.handle, &self.ports).await?;
        self.found.send_if_modified(|known| {
            let differs = **known != now;
            if differs {
                *known = Arc::new(now);
            }
            differs
        });
        Ok(())
    }
}

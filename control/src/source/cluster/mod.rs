//! Services, EndpointSlices, the own Node and ServiceCIDRs as an API server has them.
//!
//! ```text
//!   files ── access ── connection ──┬── follow: ServiceCIDRs ──┐
//!                                   ├── follow: Node ──────────┤  changes
//!                                   ├── follow: Services ──────┼───────── Cluster ── agent
//!                                   └── follow: EndpointSlices ┘
//! ```
//!
//! Each resource is listed in pages and then watched, on its own. Nothing of an object is kept
//! here: it is read where it stands in the answer, passed on, and forgotten. The server may go,
//! forget, refuse or hang; then what is known stays, and it is asked again, later and later. After
//! a list whatever it did not name is gone; nothing else ever is.

mod access;
mod backoff;
mod connection;
mod failure;
mod follow;
mod health;
mod options;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod watched;
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ipnet::IpNet;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::model::{ObjectKey, Problem};
pub(crate) use access::AccessError;
use access::Ping;
use connection::Connection;
use failure::Failure;
use follow::{Follower, Patience};
use health::{Health, State};
pub(crate) use options::{Access, ClusterOptions, Followed, in_cluster};
pub(crate) use watched::{Change, Item, NodeInfo, Watched};

/// Changes that may wait to be taken in; when there are more, the server's wait in the socket.
const WAITING: usize = 64;

/// A cluster that is followed. Dropped, it closes its watches.
pub(crate) struct Cluster {
    changes: mpsc::Receiver<Change>,
    /// Taken off the channel, not asked for yet.
    next: Option<Change>,
    /// 0 until ServiceCIDRs are known; raised, everything is listed again.
    round: watch::Sender<u64>,
    /// For ServiceCIDRs, which wait for nobody; never raised.
    _first_round: watch::Sender<u64>,
    states: Arc<Mutex<BTreeMap<Watched, State>>>,
    /// Where it is, for people.
    server: String,
    /// The server's address, where it is known by one.
    server_ip: Option<IpAddr>,
    node_name: String,
    node: Option<NodeInfo>,
    cidrs: BTreeMap<ObjectKey, Vec<IpNet>>,
    listed: BTreeSet<Watched>,
    /// What the server does not have, or does not show.
    withheld: BTreeMap<Watched, Failure>,
    /// Nodes and ServiceCIDRs that make no sense.
    unreadable: BTreeMap<(Watched, ObjectKey), Problem>,
    _followers: JoinSet<()>,
}

/// What a change means to the agent.
#[derive(Debug)]
pub(crate) enum Update {
    /// For the model.
    Model(Change),
    /// The ServiceCIDRs are these; none when the server does not say.
    ServiceCidrs(Option<Vec<IpNet>>),
    /// Nothing that packets would notice.
    Nothing,
}

impl Cluster {
    /// Starts to follow a cluster from outside.
    ///
    /// # Errors
    /// What is wrong with the files that say where it is. A server that does not answer is no
    /// error: it is waited for.
    pub(crate) async fn start(options: &ClusterOptions) -> Result<Self, AccessError> {
        let (connection, url) = Connection::open(options.access.clone(), Ping::default()).await?;
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let server_ip = host.parse().ok();
        let server = (url.to_string(), server_ip);
        Ok(Self::follow(&options.followed, connection, server, &Patience::default()))
    }

    /// Starts to follow the API of this process, which `client` talks to without a socket; `url` is
    /// what others reach it by.
    pub(crate) fn in_process(options: &Followed, client: kube::Client, url: &str) -> Self {
        let name = (format!("{url} of this process"), None);
        // There is no connection that could die.
        let patience = Patience::default();
        let patience = Patience { watch_without_ping_s: patience.watch_s.clone(), ..patience };
        Self::follow(options, Connection::of(client), name, &patience)
    }

    fn follow(
        options: &Followed,
        connection: Connection,
        (server, server_ip): (String, Option<IpAddr>),
        patience: &Patience,
    ) -> Self {
        let connection = Arc::new(connection);
        let (sender, changes) = mpsc::channel(WAITING);
        let (round, start) = watch::channel(0);
        let (healths, states) = Health::of_all();
        let (first_round, first) = watch::channel(1);
        let mut followers = JoinSet::new();
        for (what, health) in Watched::ALL.into_iter().zip(healths) {
            let round = if what == Watched::ServiceCidrs { &first } else { &start }.clone();
            let follower = Follower {
                what,
                label_selector: what.label_selector(options),
                field_selector: what.field_selector(options),
                connection: connection.clone(),
                patience: patience.clone(),
                health,
                changes: sender.clone(),
                round,
            };
            followers.spawn(follower.run());
        }
        Self {
            changes,
            next: None,
            round,
            _first_round: first_round,
            states,
            server,
            server_ip,
            node_name: options.node_name.clone(),
            node: None,
            cidrs: BTreeMap::new(),
            listed: BTreeSet::new(),
            withheld: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            _followers: followers,
        }
    }

    /// Waits until there is something to [take](Self::take). Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.next.is_none() {
            self.next = self.changes.recv().await;
        }
        if self.next.is_none() {
            // The followers never end before this does.
            std::future::pending::<()>().await;
        }
    }

    /// The next of the changes that are here, if there is any.
    pub(crate) fn take(&mut self) -> Option<Update> {
        let change = self.next.take().or_else(|| self.changes.try_recv().ok())?;
        Some(self.note(change))
    }

    /// Whether Services and EndpointSlices were listed to their end: before, whoever acts on them
    /// acts on a part.
    pub(crate) fn is_complete(&self) -> bool {
        [Watched::Services, Watched::EndpointSlices].iter().all(|what| self.listed.contains(what))
    }

    /// Lists Services and EndpointSlices, for the first time or again.
    pub(crate) fn list(&mut self) {
        self.round.send_modify(|round| *round += 1);
    }

    /// The own Node, once it is known.
    pub(crate) fn node(&self) -> Option<&NodeInfo> {
        self.node.as_ref()
    }

    /// The server's address, where it is reached by one and not by a name.
    pub(crate) fn server_ip(&self) -> Option<IpAddr> {
        self.server_ip
    }

    fn note(&mut self, change: Change) -> Update {
        match change {
            Change::Applied(Item::Node(key, node)) => {
                self.unreadable.remove(&(Watched::Node, key));
                self.node = Some(node);
                Update::Nothing
            }
            Change::Applied(Item::ServiceCidr(key, cidrs)) => {
                self.unreadable.remove(&(Watched::ServiceCidrs, key.clone()));
                let before = self.cidrs.insert(key, cidrs.clone());
                self.cidrs_if(before != Some(cidrs))
            }
            Change::Deleted(Watched::ServiceCidrs, key) => {
                self.unreadable.remove(&(Watched::ServiceCidrs, key.clone()));
                let known = self.cidrs.remove(&key).is_some();
                self.cidrs_if(known)
            }
            Change::Listed(Watched::ServiceCidrs, seen) => {
                self.cidrs.retain(|key, _| seen.contains(key));
                self.listed.insert(Watched::ServiceCidrs);
                self.listed_now(Watched::ServiceCidrs, &seen);
                self.cidrs_if(true)
            }
            Change::Deleted(Watched::Node, key) => {
                self.unreadable.remove(&(Watched::Node, key));
                self.node = None;
                Update::Nothing
            }
            Change::Listed(Watched::Node, seen) => {
                self.node = self.node.take().filter(|_| !seen.is_empty());
                self.listed.insert(Watched::Node);
                self.listed_now(Watched::Node, &seen);
                if let Some(problem) = self.no_node() {
                    tracing::warn!("{problem}");
                }
                Update::Nothing
            }
            Change::Withheld(what, failure) => {
                self.withheld.insert(what, failure);
                let unknown = what == Watched::ServiceCidrs && !self.listed.contains(&what);
                if unknown { Update::ServiceCidrs(None) } else { Update::Nothing }
            }
            Change::Listed(what, _) => {
                self.listed.insert(what);
                Update::Model(change)
            }
            Change::Unreadable(what @ (Watched::Node | Watched::ServiceCidrs), key, problem) => {
                tracing::warn!("{problem}");
                self.unreadable.extend(key.map(|key| ((what, key), problem)));
                Update::Nothing
            }
            of_model => Update::Model(of_model),
        }
    }

    /// What the list did not name is no more.
    fn listed_now(&mut self, listed: Watched, seen: &HashSet<ObjectKey>) {
        self.withheld.remove(&listed);
        self.unreadable.retain(|(what, key), _| *what != listed || seen.contains(key));
    }

    /// The ServiceCIDRs, if they changed and all of them are known.
    fn cidrs_if(&self, changed: bool) -> Update {
        if !changed || !self.listed.contains(&Watched::ServiceCidrs) {
            return Update::Nothing;
        }
        let all: BTreeSet<IpNet> = self.cidrs.values().flatten().copied().collect();
        Update::ServiceCidrs(Some(all.into_iter().collect()))
    }
}

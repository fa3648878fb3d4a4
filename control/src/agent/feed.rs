//! What an agent follows, taken in.

use std::path::PathBuf;
use std::time::Instant;

use ipnet::IpNet;

use super::AgentError;
use super::controller::Controller;
use super::dataplane::Dataplane;
use crate::admin::SourceView;
use crate::source::cluster::{AccessError, Cluster, Update};
use crate::source::files::Files;
use crate::source::watch::FileWatch;

/// How often changes that have come meanwhile are taken in before all are put in force.
const ROUNDS: u32 = 64;

/// What an agent follows.
pub(super) enum Feed {
    /// Files, read whole.
    Manifests { files: Files, watch: FileWatch },
    /// An API server.
    Cluster(Box<ClusterFeed>),
}

/// An API server, and what was said about it.
pub(super) struct ClusterFeed {
    cluster: Cluster,
    cidrs: CidrPolicy,
    /// Where kubectl finds the API, when it is our own.
    kubeconfig: Option<PathBuf>,
    started: Instant,
    complete: bool,
    /// The CIDRs in force.
    served: Option<Vec<IpNet>>,
}

/// Which CIDRs are served.
#[derive(Clone, Debug)]
pub(super) struct CidrPolicy {
    /// Served beside those of the API; all there are when it has none.
    pub(super) always: Vec<IpNet>,
    /// Served when neither says anything.
    pub(super) otherwise: Vec<IpNet>,
}

impl CidrPolicy {
    /// Those to serve when the API says this, or nothing.
    pub(super) fn with(&self, of_api: Option<Vec<IpNet>>) -> Vec<IpNet> {
        let mut cidrs = self.always.clone();
        for cidr in of_api.unwrap_or_default() {
            if !cidrs.contains(&cidr) {
                cidrs.push(cidr);
            }
        }
        if cidrs.is_empty() { self.otherwise.clone() } else { cidrs }
    }
}

impl ClusterFeed {
    pub(super) fn new(cluster: Cluster, cidrs: CidrPolicy, kubeconfig: Option<PathBuf>) -> Self {
        Self { cluster, cidrs, kubeconfig, started: Instant::now(), complete: false, served: None }
    }
}

impl Feed {
    /// Before anything was taken in.
    pub(super) fn begin<D: Dataplane>(&mut self, controller: &mut Controller<D>) {
        match self {
            Self::Manifests { files, .. } => controller.take_manifest(files.read()),
            // Half of a cluster would be virtual IPs without anybody behind them.
            Self::Cluster(_) => controller.hold(),
        }
    }

    /// Waits until there is something to [take in](Self::take_in). Cancel safe.
    pub(super) async fn changed(&mut self) {
        match self {
            Self::Manifests { watch, .. } => watch.changed().await,
            Self::Cluster(feed) => feed.cluster.changed().await,
        }
    }

    /// Takes in everything that is there. The CIDRs to be routed, if they may be others now.
    ///
    /// # Errors
    /// When it turns out that the cluster is reached by what this agent has to bring about.
    pub(super) async fn take_in<D: Dataplane>(
        &mut self,
        controller: &mut Controller<D>,
    ) -> Result<Option<Vec<IpNet>>, AgentError> {
        match self {
            Self::Manifests { files, .. } => {
                controller.take_manifest(files.read());
                Ok(None)
            }
            Self::Cluster(feed) => feed.take_in(controller).await,
        }
    }

    /// For `GET /status`.
    pub(super) fn view(&self) -> SourceView {
        match self {
            Self::Manifests { files, .. } => {
                let paths: Vec<_> =
                    files.paths().iter().map(|path| path.display().to_string()).collect();
                SourceView { what: format!("manifests {}", paths.join(", ")), ..Default::default() }
            }
            Self::Cluster(feed) => {
                let (incomplete, kubeconfig) = (self.incomplete(), feed.kubeconfig.clone());
                SourceView { incomplete, kubeconfig, ..feed.cluster.view() }
            }
        }
    }

    /// What is wrong with it, one line each.
    pub(super) fn problems(&self) -> Vec<String> {
        match self {
            Self::Manifests { .. } => Vec::new(),
            Self::Cluster(feed) => {
                feed.cluster.problems().iter().map(ToString::to_string).collect()
            }
        }
    }

    /// Why what is in force is not all that there is; `None` when it is.
    pub(super) fn incomplete(&self) -> Option<String> {
        let Self::Cluster(feed) = self else { return None };
        let why = || self.problems().into_iter().next();
        (!feed.complete).then(|| {
            let why = why().map(|why| format!(": {why}")).unwrap_or_default();
            format!("Services and EndpointSlices are not listed to their end yet{why}")
        })
    }
}

impl ClusterFeed {
    async fn take_in<D: Dataplane>(
        &mut self,
        controller: &mut Controller<D>,
    ) -> Result<Option<Vec<IpNet>>, AgentError> {
        let mut routed = None;
        for _ in 0..ROUNDS {
            let mut any = false;
            while let Some(update) = self.cluster.take() {
                any = true;
                match update {
                    Update::Model(change) => controller.take_change(change),
                    Update::ServiceCidrs(cidrs) => {
                        routed = self.take_cidrs(cidrs, controller)?.or(routed);
                    }
                    Update::Nothing => {}
                }
            }
            if !any {
                break;
            }
            // The watches run on this thread: now they pass on what has come meanwhile.
            tokio::task::yield_now().await;
        }
        if !self.complete && self.cluster.is_complete() {
            self.complete = true;
            controller.release();
            tracing::info!(took = ?self.started.elapsed(), "everything is listed");
        }
        Ok(routed)
    }

    /// Those to be routed, if they are others than before.
    fn take_cidrs<D: Dataplane>(
        &mut self,
        of_api: Option<Vec<IpNet>>,
        controller: &mut Controller<D>,
    ) -> Result<Option<Vec<IpNet>>, AgentError> {
        let known = of_api.is_some() || !self.cidrs.always.is_empty();
        let cidrs = self.cidrs.with(of_api);
        if self.served.as_ref() == Some(&cidrs) {
            return Ok(None);
        }
        let server = self.cluster.server_ip();
        if let Some(ip) = server.filter(|ip| cidrs.iter().any(|cidr| cidr.contains(ip))) {
            // The CIDRs that nobody told us may be wrong.
            if known && !self.complete {
                return Err(AccessError::ClusterIp(ip).into());
            }
            tracing::warn!("the API server's address {ip} is in the Service CIDRs {cidrs:?}");
        }
        tracing::info!(?cidrs, "Service CIDRs");
        controller.take_service_cidrs(cidrs.clone());
        // They decide how Services and endpoints are read.
        self.cluster.list();
        self.served = Some(cidrs.clone());
        Ok(Some(cidrs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_knows_better_than_a_default_and_a_user_knows_more() {
        let cidr = |text: &str| text.parse::<IpNet>().expect("a CIDR");
        let default = vec![cidr("10.96.0.0/12")];
        let api = || Some(vec![cidr("172.20.0.0/16")]);
        let policy = CidrPolicy { always: Vec::new(), otherwise: default.clone() };
        assert_eq!(policy.with(None), default);
        assert_eq!(policy.with(api()), [cidr("172.20.0.0/16")]);
        let told = CidrPolicy { always: vec![cidr("10.0.0.0/24")], otherwise: default };
        assert_eq!(told.with(None), [cidr("10.0.0.0/24")]);
        assert_eq!(told.with(api()), [cidr("10.0.0.0/24"), cidr("172.20.0.0/16")]);
    }
}

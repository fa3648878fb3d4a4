//! What an agent follows, taken in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use ipnet::IpNet;

use super::AgentError;
use super::controller::Controller;
use super::dataplane::Dataplane;
use crate::admin::SourceView;
use crate::model::Problem;
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
    /// What `--service-cidr` says: served beside those that the API tells of. An API server of our
    /// own has made its CIDRs of it, if it could.
    told: Vec<IpNet>,
    /// Where kubectl finds the API, when it is our own.
    kubeconfig: Option<PathBuf>,
    started: Instant,
    complete: bool,
    /// The CIDRs in force.
    served: Option<Vec<IpNet>>,
}

impl ClusterFeed {
    /// With what `--service-cidr` says, and the kubeconfig of an API server of our own.
    pub(super) fn new(cluster: Cluster, told: Vec<IpNet>, kubeconfig: Option<PathBuf>) -> Self {
        Self { cluster, told, kubeconfig, started: Instant::now(), complete: false, served: None }
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
                SourceView { kubeconfig: feed.kubeconfig.clone(), ..feed.cluster.view() }
            }
        }
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Manifests { .. } => Vec::new(),
            Self::Cluster(feed) => feed.problems(),
        }
    }

    /// Why what was taken in is not all that there is; `None` when it is.
    pub(super) fn incomplete(&self) -> Option<String> {
        let Self::Cluster(feed) = self else { return None };
        let why = || self.problems().first().map(ToString::to_string);
        (!feed.complete).then(|| {
            let why = why().map(|why| format!(": {why}")).unwrap_or_default();
            format!("Services and EndpointSlices are not listed to their end yet{why}")
        })
    }
}

impl ClusterFeed {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.cluster.problems();
        problems.extend(self.cidr_problems().map(Problem::new));
        problems
    }

    /// What is wrong with the CIDRs in force.
    fn cidr_problems(&self) -> impl Iterator<Item = String> {
        let all = [self.no_cidr(), self.not_allocated_from(), self.server_in_cidrs()];
        all.into_iter().flatten()
    }

    fn is_our_own(&self) -> bool {
        self.kubeconfig.is_some()
    }

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
        let told = if self.is_our_own() { &[][..] } else { &self.told };
        let cidrs = union(told, of_api.unwrap_or_default());
        if self.served.as_ref() == Some(&cidrs) {
            return Ok(None);
        }
        tracing::info!(?cidrs, "Service CIDRs");
        controller.take_service_cidrs(cidrs.clone());
        // They decide how Services and endpoints are read.
        self.cluster.list();
        self.served = Some(cidrs.clone());
        if let Some(ip) = self.server_ip_in(&cidrs).filter(|_| !self.complete) {
            return Err(AccessError::ClusterIp(ip).into());
        }
        self.cidr_problems().for_each(|problem| tracing::warn!("{problem}"));
        Ok(Some(cidrs))
    }

    fn server_ip_in(&self, cidrs: &[IpNet]) -> Option<IpAddr> {
        self.cluster.server_ip().filter(|ip| cidrs.iter().any(|cidr| cidr.contains(ip)))
    }

    /// An API server of our own takes addresses from the ServiceCIDRs that it has already.
    fn not_allocated_from(&self) -> Option<String> {
        let served = self.served.as_ref().filter(|_| self.is_our_own())?;
        let told = self.told.iter().find(|cidr| !served.contains(cidr))?;
        Some(format!(
            "no ClusterIP comes from --service-cidr {told}: in the data directory there are the \
             ServiceCIDRs {served:?}; make one of it (kubectl create, kind ServiceCIDR), or give \
             another --data-dir"
        ))
    }

    fn server_in_cidrs(&self) -> Option<String> {
        let cidrs = self.served.as_deref().unwrap_or_default();
        let ip = self.server_ip_in(cidrs)?;
        Some(format!(
            "the API server's address {ip} is in the Service CIDRs {cidrs:?}: it may be reached \
             through this agent itself; give --api-server"
        ))
    }

    /// Nothing is guessed: a guess could be where Pods or other machines are.
    fn no_cidr(&self) -> Option<String> {
        let none = self.served.as_ref().is_some_and(Vec::is_empty);
        none.then(|| {
            "no Service CIDR is known, so this node's own processes have no route to Services \
             (Pods have): the API server tells of none; give --service-cidr"
                .to_owned()
        })
    }
}

/// Those of both, each once.
fn union(told: &[IpNet], of_api: Vec<IpNet>) -> Vec<IpNet> {
    let further = of_api.into_iter().filter(|cidr| !told.contains(cidr));
    told.iter().copied().chain(further).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_adds_to_what_the_api_tells() {
        let cidrs = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().map(|text| text.parse().expect("a CIDR")).collect()
        };
        let (told, of_api) = (cidrs(&["10.0.0.0/24"]), cidrs(&["172.20.0.0/16", "10.0.0.0/24"]));
        assert_eq!(union(&[], Vec::new()), []);
        assert_eq!(union(&told, Vec::new()), told);
        assert_eq!(union(&[], of_api.clone()), of_api);
        assert_eq!(union(&told, of_api), cidrs(&["10.0.0.0/24", "172.20.0.0/16"]));
    }
}

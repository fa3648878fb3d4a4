//! What an agent follows, as it is typed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::agent::{RunPods, SourceOptions, StandaloneOptions};
use crate::lab::kubelet;
use crate::source::cluster::{Access, ClusterOptions, Followed, in_cluster};

/// Where the API of a machine without a cluster listens.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);
/// Where that API keeps its objects.
const DATA_DIR: &str = "/var/lib/maglane";

/// Sources that are not `--standalone`.
const CLUSTER_OR_FILES: [&str; 2] = ["manifests", "kubeconfig"];

#[derive(Args, Debug)]
pub(super) struct SourceArgs {
    /// Follow a file or directory of manifests as it changes; `-` reads standard input once
    #[arg(long, num_args = 1.., value_name = "FILE|DIR", group = "source")]
    manifests: Vec<PathBuf>,
    /// Follow the cluster of a kubeconfig; in a Pod its service account does, unless one is given
    #[arg(long, value_name = "FILE", group = "source")]
    kubeconfig: Option<PathBuf>,
    /// Follow a small Kubernetes API of the agent's own
    #[arg(long, group = "source")]
    standalone: bool,
    /// Of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// The API server's own address, where the kubeconfig or the Pod's environment names another
    #[arg(long, value_name = "URL", conflicts_with_all = ["manifests", "standalone"])]
    api_server: Option<String>,
    /// What the cluster knows this node by [default: $NODE_NAME, else the hostname]
    #[arg(long, value_name = "NAME", conflicts_with = "manifests")]
    node_name: Option<String>,
    /// Serve the Services with this value of the label service.kubernetes.io/service-proxy-name
    /// instead of those without it
    #[arg(long, value_name = "NAME", conflicts_with = "manifests")]
    service_proxy_name: Option<String>,
    /// Where the standalone API keeps its objects, certificates and kubeconfig
    /// [default: /var/lib/maglane]
    #[arg(long, value_name = "DIR", requires = "standalone", conflicts_with_all = CLUSTER_OR_FILES)]
    data_dir: Option<PathBuf>,
    /// Where the standalone API listens, unless it was passed a socket (LISTEN_FDS)
    /// [default: 127.0.0.1:6443]
    #[arg(long, value_name = "IP:PORT", requires = "standalone", conflicts_with_all = CLUSTER_OR_FILES, value_parser = ip_and_port)]
    listen: Option<SocketAddr>,
    /// Let others than this machine reach the standalone API: it holds Secrets, and whoever has its
    /// token may do everything
    #[arg(long, requires = "listen")]
    listen_beyond_loopback: bool,
    /// This is the node of a lab: Pods that are bound to it become namespaces and processes
    #[arg(long, hide = true, requires = "standalone", conflicts_with_all = CLUSTER_OR_FILES)]
    lab: bool,
}

impl SourceArgs {
    /// The one source that was chosen.
    ///
    /// # Errors
    /// What to give when nothing was chosen.
    pub(super) fn options(self) -> anyhow::Result<SourceOptions> {
        if !self.manifests.is_empty() {
            return Ok(SourceOptions::Manifests(self.manifests));
        }
        let node_name = node_name(self.node_name)?;
        let service_proxy_name = self.service_proxy_name;
        if self.standalone {
            return Ok(SourceOptions::Standalone(StandaloneOptions {
                data_dir: self.data_dir.unwrap_or_else(|| DATA_DIR.into()),
                listen: self.listen.unwrap_or(LISTEN),
                beyond_loopback: self.listen_beyond_loopback,
                node_name,
                service_proxy_name,
                pods: self.lab.then_some(kubelet::run_here as RunPods),
            }));
        }
        let access = match self.kubeconfig {
            Some(file) => {
                Access::Kubeconfig { file, context: self.context, api_server: self.api_server }
            }
            None if in_cluster() => Access::InCluster { api_server: self.api_server },
            None => anyhow::bail!(
                "nothing to follow: give --kubeconfig FILE for a cluster, --standalone for an API \
                 of this machine's own, or --manifests FILE|DIR; this is no Pod with a service \
                 account either"
            ),
        };
        let followed = Followed { node_name, service_proxy_name };
        Ok(SourceOptions::Cluster(ClusterOptions { access, followed }))
    }
}

fn ip_and_port(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, as 127.0.0.1:6443".to_owned())
}

/// As the kubelet would name the node.
fn node_name(told: Option<String>) -> anyhow::Result<String> {
    let from_environment = || std::env::var("NODE_NAME").ok();
    let told = told.or_else(from_environment).filter(|name| !name.trim().is_empty());
    let name = match told {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("cannot read the hostname: give --node-name")?,
    };
    Ok(name.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Typed {
        #[command(flatten)]
        source: SourceArgs,
    }

    fn options(args: &[&str]) -> anyhow::Result<SourceOptions> {
        let words = std::iter::once(&"agent").chain(args);
        Typed::try_parse_from(words)?.source.options()
    }

    #[test]
    fn a_kubeconfig_names_a_cluster() {
        let typed = ["--kubeconfig", "admin.conf", "--context", "lab", "--node-name", "Node-1"];
        let SourceOptions::Cluster(options) = options(&typed).expect("all is valid") else {
            panic!("not a cluster");
        };
        assert_eq!(
            options.access,
            Access::Kubeconfig {
                file: "admin.conf".into(),
                context: Some("lab".into()),
                api_server: None
            }
        );
        assert_eq!(options.followed.node_name, "node-1");
    }

    #[test]
    fn standalone_has_defaults() {
        let SourceOptions::Standalone(options) = options(&["--standalone"]).expect("all is valid")
        else {
            panic!("not standalone");
        };
        assert_eq!(options.data_dir, PathBuf::from(DATA_DIR));
        assert_eq!(options.listen.to_string(), "127.0.0.1:6443");
        assert!(options.pods.is_none() && !options.node_name.is_empty());
    }

    #[test]
    fn there_is_exactly_one_source() {
        for (typed, expect) in [
            (vec![], "nothing to follow: give --kubeconfig FILE"),
            (vec!["--standalone", "--kubeconfig", "f"], "cannot be used with"),
            (vec!["--manifests", "d", "--standalone"], "cannot be used with"),
            (vec!["--manifests", "d", "--api-server", "https://h"], "cannot be used with"),
            (vec!["--kubeconfig", "f", "--data-dir", "d"], "cannot be used with"),
            (vec!["--data-dir", "d"], "--standalone"),
            (vec!["--context", "c"], "--kubeconfig"),
        ] {
            let error = options(&typed).expect_err("it is a mistake").to_string();
            assert!(error.contains(expect), "{typed:?}: {error}");
        }
    }
}

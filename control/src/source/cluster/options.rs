use std::path::{Path, PathBuf};

/// Where a Pod finds who it is; the names are Kubernetes' own.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How to reach an API server, and which of its objects are ours.
#[derive(Clone, Debug)]
pub(crate) struct ClusterOptions {
    /// Where it is and who we are.
    pub(crate) access: Access,
    /// Which of its objects are ours.
    pub(crate) followed: Followed,
}

/// Which objects of a cluster are ours.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    /// Of this node, as the cluster knows it.
    pub(crate) node_name: String,
    /// Which Services: those labelled so, or those without the label.
    pub(crate) service_proxy_name: Option<String>,
}

/// Where an API server is, and who we are to it. `api_server` is the URL that counts instead of
/// the one that is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// As `kubectl` is told.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Its current context when there is none.
        context: Option<String>,
        /// Its cluster's `server` when there is none.
        api_server: Option<String>,
    },
    /// As a Pod is told.
    InCluster {
        /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` when there is none.
        api_server: Option<String>,
    },
}

/// Whether this process is in a Pod that has a service account.
pub(crate) fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new(SERVICE_ACCOUNT_TOKEN).exists()
}

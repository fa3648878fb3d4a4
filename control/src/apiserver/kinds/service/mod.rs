//! Services (k8s.io/kubernetes/pkg/apis/core/validation, pkg/registry/core/service).
//!
//! | file | what |
//! |---|---|
//! | `defaults` | what a client may leave out, and what an update carries over |
//! | `rules` | what may stand in a Service |
//! | `families` | which families of addresses it has |
//! | `ports` | what may stand in its ports |
//! | `stacks` | its addresses and their families, and how they may change |
//! | `status` | what load balancers may say |
//! | `warnings` | what clients are told beside the answer |
//! | `columns` | what `kubectl get services` shows |

mod columns;
mod defaults;
mod families;
mod ports;
mod rules;
mod stacks;
mod status;
#[cfg(test)]
mod tests;
mod warnings;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

pub(crate) use self::families::{cluster_ips, ip_families, is_headless, settle as settle_families};
pub(crate) use self::stacks::validate as stacks;

use super::decoding::plain;
use crate::apiserver::resource::{Names, Resource, Subresource};

/// What there is to know of the kind.
pub(super) const SERVICE: Resource = Resource {
    short_names: &["svc"],
    categories: &["all"],
    names: Names::Label1035,
    subresources: &[Subresource::Status],
    default: defaults::default,
    prepare: defaults::prepare,
    validate: rules::validate,
    warnings: warnings::warnings,
    selectable_fields: &["spec.clusterIP", "spec.type"],
    columns: columns::COLUMNS,
    ..plain::<Service>("service")
};

/// `type`, which [`defaults`] fills in.
fn kind(spec: &ServiceSpec) -> &str {
    spec.type_.as_deref().unwrap_or_default()
}

fn has_cluster_ip(spec: &ServiceSpec) -> bool {
    matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn has_node_ports(spec: &ServiceSpec) -> bool {
    matches!(kind(spec), "NodePort" | "LoadBalancer")
}

/// Whether connections from outside the cluster may come.
fn is_external(spec: &ServiceSpec) -> bool {
    has_node_ports(spec)
        || (kind(spec) == "ClusterIP" && spec.external_ips.iter().flatten().next().is_some())
}

/// Whether load balancers ask nodes if they have endpoints.
fn has_health_check(spec: &ServiceSpec) -> bool {
    kind(spec) == "LoadBalancer" && spec.external_traffic_policy.as_deref() == Some("Local")
}

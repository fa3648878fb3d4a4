//! The kinds that controllers look at, and where they are found.

use kube::core::{ApiResource, GroupVersionKind};

use crate::apiserver::resource;

/// Of all of them.
const VERSION: &str = "v1";

/// A kind of the API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    ClusterRole,
    ClusterRoleBinding,
    ConfigMap,
    DaemonSet,
    Deployment,
    Endpoints,
    EndpointSlice,
    Event,
    Lease,
    Namespace,
    Node,
    Pod,
    ReplicaSet,
    Role,
    RoleBinding,
    Secret,
    Service,
    ServiceAccount,
    ServiceCidr,
}

/// What URLs and references say of a kind.
struct Names {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 19] = [
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::ConfigMap,
        Self::DaemonSet,
        Self::Deployment,
        Self::Endpoints,
        Self::EndpointSlice,
        Self::Event,
        Self::Lease,
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::ReplicaSet,
        Self::Role,
        Self::RoleBinding,
        Self::Secret,
        Self::Service,
        Self::ServiceAccount,
        Self::ServiceCidr,
    ];

    /// Those that are only kept, deleted with their namespace or after their owner.
    pub(super) const KEPT_ONLY: [Self; 9] = [
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::ConfigMap,
        Self::DaemonSet,
        Self::Lease,
        Self::Role,
        Self::RoleBinding,
        Self::Secret,
        Self::ServiceAccount,
    ];

    /// The kind that an owner reference means; none when it is not one of these.
    pub(super) fn find(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self::ALL.into_iter().find(|of| of.kind() == kind && of.names().group == group)
    }

    /// `Pod`.
    pub(super) fn kind(self) -> &'static str {
        self.names().kind
    }

    /// `apps/v1`.
    pub(super) fn api_version(self) -> String {
        resource::api_version(self.names().group, VERSION)
    }

    /// Whether objects live in namespaces.
    pub(super) fn is_namespaced(self) -> bool {
        self.names().namespaced
    }

    /// Path of the collection in a namespace; of all, when it is empty.
    pub(super) fn path(self, namespace: &str) -> String {
        let Names { group, plural, namespaced, .. } = self.names();
        let root = resource::root(group, VERSION);
        if namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{namespace}/{plural}")
        } else {
            format!("{root}/{plural}")
        }
    }

    /// As the client library wants it.
    pub(super) fn api_resource(self) -> ApiResource {
        let Names { group, kind, plural, .. } = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, VERSION, kind), plural)
    }

    fn names(self) -> Names {
        let core = |kind, plural| Names { group: "", kind, plural, namespaced: true };
        let apps = |kind, plural| Names { group: "apps", ..core(kind, plural) };
        let rbac =
            |kind, plural| Names { group: "rbac.authorization.k8s.io", ..core(kind, plural) };
        let global = |names| Names { namespaced: false, ..names };
        match self {
            Self::ClusterRole => global(rbac("ClusterRole", "clusterroles")),
            Self::ClusterRoleBinding => global(rbac("ClusterRoleBinding", "clusterrolebindings")),
            Self::ConfigMap => core("ConfigMap", "configmaps"),
            Self::DaemonSet => apps("DaemonSet", "daemonsets"),
            Self::Deployment => apps("Deployment", "deployments"),
            Self::Endpoints => core("Endpoints", "endpoints"),
            Self::EndpointSlice => {
                Names { group: "discovery.k8s.io", ..core("EndpointSlice", "endpointslices") }
            }
            Self::Event => core("Event", "events"),
            Self::Lease => Names { group: "coordination.k8s.io", ..core("Lease", "leases") },
            Self::Namespace => global(core("Namespace", "namespaces")),
            Self::Node => global(core("Node", "nodes")),
            Self::Pod => core("Pod", "pods"),
            Self::ReplicaSet => apps("ReplicaSet", "replicasets"),
            Self::Role => rbac("Role", "roles"),
            Self::RoleBinding => rbac("RoleBinding", "rolebindings"),
            Self::Secret => core("Secret", "secrets"),
            Self::Service => core("Service", "services"),
            Self::ServiceAccount => core("ServiceAccount", "serviceaccounts"),
            Self::ServiceCidr => {
                global(Names { group: "networking.k8s.io", ..core("ServiceCIDR", "servicecidrs") })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds;

    #[test]
    fn kinds_are_where_the_server_has_them() {
        for kind in Kind::ALL {
            let Names { group, plural, .. } = kind.names();
            let served = kinds::by_plural(group, VERSION, plural).expect("it is served");
            assert_eq!(served.kind, kind.kind());
            assert_eq!(served.namespaced, kind.is_namespaced());
            assert_eq!(served.api_version(), kind.api_version());
            assert_eq!(format!("{}/{plural}", served.root()), kind.path(""));
        }
    }

    #[test]
    fn no_kind_that_is_served_outlives_its_namespace() {
        // The Events of one group are those of the other.
        let all = kinds::all().iter().filter(|of| of.group != "events.k8s.io");
        for served in all {
            let known = Kind::find(&served.api_version(), served.kind);
            assert!(known.is_some(), "{} of {}", served.kind, served.api_version());
        }
    }
}

//! Roles and bindings: kept, so that manifests that bring them are accepted. Who has the token may
//! do everything.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};

use super::decoding::plain;
use crate::apiserver::resource::{Names, Resource};

/// Roles of all namespaces.
pub(super) const CLUSTER_ROLE: Resource = Resource {
    namespaced: false,
    names: Names::PathSegment,
    ..plain::<ClusterRole>("clusterrole")
};

/// Who has a [`CLUSTER_ROLE`].
pub(super) const CLUSTER_ROLE_BINDING: Resource = Resource {
    namespaced: false,
    names: Names::PathSegment,
    ..plain::<ClusterRoleBinding>("clusterrolebinding")
};

/// Roles of one namespace.
pub(super) const ROLE: Resource = Resource { names: Names::PathSegment, ..plain::<Role>("role") };

/// Who has a [`ROLE`].
pub(super) const ROLE_BINDING: Resource =
    Resource { names: Names::PathSegment, ..plain::<RoleBinding>("rolebinding") };

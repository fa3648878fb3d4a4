//! How strategic merge patches merge lists: what `patchStrategy` and `patchMergeKey` say in the Go
//! types of the kinds that are served.

use crate::apiserver::resource::Resource;

/// How a list in a patch meets the list that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListMerge {
    /// It takes its place.
    Replace,
    /// Its items are merged into those with the same value of this field, or added.
    ByKey(&'static str),
    /// Its items, which are strings, are added.
    Union,
}

/// How the list at a path is merged: the names of fields from the object's root, without
/// positions, as `["spec", "template", "spec", "containers", "env"]`.
pub(crate) fn list_merge(of: &Resource, path: &[&str]) -> ListMerge {
    use ListMerge::{ByKey, Replace, Union};
    match (of.kind, path) {
        (_, ["metadata", field]) | (_, ["spec", "template", "metadata", field]) => match *field {
            "finalizers" => Union,
            "ownerReferences" => ByKey("uid"),
            _ => Replace,
        },
        ("Pod", ["spec", path @ ..])
        | ("Deployment" | "ReplicaSet" | "DaemonSet", ["spec", "template", "spec", path @ ..]) => {
            pod_spec(path)
        }
        (_, ["status", "conditions"]) => ByKey("type"),
        ("Pod", ["status", "podIPs" | "hostIPs"]) => ByKey("ip"),
        ("Node", ["status", "addresses"]) => ByKey("type"),
        ("Node", ["spec", "podCIDRs"]) => Union,
        ("Service", ["spec", "ports"]) => ByKey("port"),
        ("ServiceAccount", ["secrets" | "imagePullSecrets"]) => ByKey("name"),
        _ => Replace,
    }
}

/// The same within `PodSpec`.
fn pod_spec(path: &[&str]) -> ListMerge {
    use ListMerge::{ByKey, Replace};
    match path {
        [
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "imagePullSecrets"
            | "schedulingGates"
            | "resourceClaims",
        ] => ByKey("name"),
        ["hostAliases"] => ByKey("ip"),
        ["topologySpreadConstraints"] => ByKey("topologyKey"),
        ["containers" | "initContainers" | "ephemeralContainers", field] => match *field {
            "env" => ByKey("name"),
            "ports" => ByKey("containerPort"),
            "volumeMounts" => ByKey("mountPath"),
            "volumeDevices" => ByKey("devicePath"),
            _ => Replace,
        },
        _ => Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::ListMerge::{ByKey, Replace, Union};
    use super::*;
    use crate::apiserver::kinds::by_plural;

    #[test]
    fn lists_are_merged_as_their_go_types_say() {
        for (group, plural, path, expected) in [
            ("", "services", "spec.ports", ByKey("port")),
            ("", "services", "spec.externalIPs", Replace),
            ("", "services", "status.conditions", ByKey("type")),
            ("", "services", "metadata.finalizers", Union),
            ("", "endpoints", "subsets", Replace),
            ("", "pods", "spec.containers", ByKey("name")),
            ("", "pods", "spec.containers.ports", ByKey("containerPort")),
            ("", "pods", "spec.tolerations", Replace),
            ("", "pods", "spec.template.spec.containers", Replace),
            ("apps", "deployments", "spec.template.spec.initContainers.env", ByKey("name")),
            ("apps", "deployments", "spec.template.spec.containers.args", Replace),
            ("apps", "deployments", "spec.template.metadata.finalizers", Union),
            ("apps", "replicasets", "metadata.ownerReferences", ByKey("uid")),
            ("rbac.authorization.k8s.io", "clusterrolebindings", "subjects", Replace),
        ] {
            let path: Vec<_> = path.split('.').collect();
            let of = by_plural(group, "v1", plural).unwrap();
            assert_eq!(list_merge(of, &path), expected, "{plural} {path:?}");
        }
    }
}

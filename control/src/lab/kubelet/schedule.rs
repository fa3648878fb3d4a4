//! The scheduler of a cluster with one node: whether a Pod may run there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

/// Where a Pod stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// It is this node's.
    Here,
    /// It is to become this node's.
    Fits,
    /// It is some other node's, of which there are none.
    Elsewhere,
    /// Somebody holds it back on purpose.
    Gated,
    /// It asks for what this node does not have.
    Unschedulable(String),
}

/// Decides.
pub(super) fn place(pod: &Pod, node: &str, labels: &BTreeMap<String, String>) -> Placement {
    let Some(spec) = &pod.spec else { return Placement::Elsewhere };
    if let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return if name == node { Placement::Here } else { Placement::Elsewhere };
    }
    let scheduler = spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
    if scheduler != "default-scheduler" {
        return Placement::Elsewhere;
    }
    if spec.scheduling_gates.iter().flatten().next().is_some() {
        return Placement::Gated;
    }
    let matches = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    if spec.node_selector.iter().flatten().all(matches) {
        return Placement::Fits;
    }
    Placement::Unschedulable(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements() {
        let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        for (spec, expected) in [
            ("{containers: []}", Placement::Fits),
            ("{nodeName: here, containers: []}", Placement::Here),
            ("{nodeName: there, containers: []}", Placement::Elsewhere),
            ("{schedulerName: mine, containers: []}", Placement::Elsewhere),
            ("{schedulingGates: [{name: g}], containers: []}", Placement::Gated),
            ("{nodeSelector: {disk: ssd}, containers: []}", Placement::Fits),
        ] {
            let pod: Pod = serde_yaml_ng::from_str(&format!("{{spec: {spec}}}")).unwrap();
            assert_eq!(place(&pod, "here", &labels), expected, "{spec}");
        }
        let text = "{spec: {nodeSelector: {disk: hdd}, containers: []}}";
        let pod: Pod = serde_yaml_ng::from_str(text).unwrap();
        assert!(matches!(place(&pod, "here", &labels), Placement::Unschedulable(_)));
    }
}

//! The scheduler of a cluster with one node: whether a Pod may run there.

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};

/// As what a cordoned node counts.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

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
pub(super) fn place(pod: &Pod, node: &Node) -> Placement {
    let Some(spec) = &pod.spec else { return Placement::Elsewhere };
    if let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        let here = node.metadata.name.as_deref() == Some(name);
        return if here { Placement::Here } else { Placement::Elsewhere };
    }
    let scheduler = spec.scheduler_name.as_deref().unwrap_or("default-scheduler");
    if scheduler != "default-scheduler" {
        return Placement::Elsewhere;
    }
    if spec.scheduling_gates.iter().flatten().next().is_some() {
        return Placement::Gated;
    }
    match unsuited(spec, node) {
        None => Placement::Fits,
        Some(why) => Placement::Unschedulable(format!("0/1 nodes are available: 1 node(s) {why}.")),
    }
}

/// Why the node does not suit, in the real scheduler's words.
fn unsuited(spec: &PodSpec, node: &Node) -> Option<String> {
    let node_spec = node.spec.as_ref();
    let cordoned = node_spec.is_some_and(|spec| spec.unschedulable == Some(true));
    if cordoned && !tolerates(spec, UNSCHEDULABLE, "", "NoSchedule") {
        return Some("were unschedulable".to_owned());
    }
    let mut taints = node_spec.into_iter().flat_map(|spec| spec.taints.iter().flatten());
    let untolerated = taints.find(|taint| {
        let value = taint.value.as_deref().unwrap_or_default();
        matches!(&*taint.effect, "NoSchedule" | "NoExecute")
            && !tolerates(spec, &taint.key, value, &taint.effect)
    });
    if let Some(taint) = untolerated {
        let value = taint.value.as_deref().unwrap_or_default();
        return Some(format!("had untolerated taint(s) {{{}: {value}}}", taint.key));
    }
    let labels = node.metadata.labels.as_ref();
    let has = |(key, value): (&String, &String)| {
        labels.is_some_and(|labels| labels.get(key) == Some(value))
    };
    let selected = spec.node_selector.iter().flatten().all(has);
    (!selected).then(|| "didn't match Pod's node affinity/selector".to_owned())
}

/// Whether a Pod puts up with a taint (`v1.Toleration.ToleratesTaint`).
fn tolerates(spec: &PodSpec, key: &str, value: &str, effect: &str) -> bool {
    spec.tolerations.iter().flatten().any(|toleration| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (of, with) = (text(&toleration.key), text(&toleration.effect));
        let any = toleration.operator.as_deref() == Some("Exists");
        (with.is_empty() || with == effect)
            && (of == key || (of.is_empty() && any))
            && (any || text(&toleration.value) == value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(spec: &str, node: &str) -> Placement {
        let pod: Pod = serde_yaml_ng::from_str(&format!("{{spec: {spec}}}")).unwrap();
        let node = format!("{{metadata: {{name: here, labels: {{disk: ssd}}}}, spec: {node}}}");
        place(&pod, &serde_yaml_ng::from_str(&node).unwrap())
    }

    #[test]
    fn placements() {
        for (spec, expected) in [
            ("{containers: []}", Placement::Fits),
            ("{nodeName: here, containers: []}", Placement::Here),
            ("{nodeName: there, containers: []}", Placement::Elsewhere),
            ("{schedulerName: mine, containers: []}", Placement::Elsewhere),
            ("{schedulingGates: [{name: g}], containers: []}", Placement::Gated),
            ("{nodeSelector: {disk: ssd}, containers: []}", Placement::Fits),
        ] {
            assert_eq!(placed(spec, "{}"), expected, "{spec}");
        }
        let other = placed("{nodeSelector: {disk: hdd}, containers: []}", "{}");
        assert!(matches!(other, Placement::Unschedulable(why) if why.contains("didn't match")));
    }

    #[test]
    fn cordons_and_taints_keep_pods_away_that_do_not_tolerate_them() {
        let tainted = "{taints: [{key: gpu, value: 'yes', effect: NoSchedule}]}";
        let cordoned = "{unschedulable: true}";
        for (tolerations, node, fits) in [
            ("[]", tainted, false),
            ("[]", "{taints: [{key: gpu, effect: PreferNoSchedule}]}", true),
            ("[{key: gpu, value: 'yes'}]", tainted, true),
            ("[{key: gpu, value: 'no'}]", tainted, false),
            ("[{key: gpu, operator: Exists, effect: NoSchedule}]", tainted, true),
            ("[{key: gpu, operator: Exists, effect: NoExecute}]", tainted, false),
            ("[{operator: Exists}]", tainted, true),
            ("[]", cordoned, false),
            ("[{key: node.kubernetes.io/unschedulable, operator: Exists}]", cordoned, true),
        ] {
            let spec = format!("{{containers: [], tolerations: {tolerations}}}");
            let placement = placed(&spec, node);
            assert_eq!(placement == Placement::Fits, fits, "{tolerations} {node}: {placement:?}");
            // Whoever names the node is not asked.
            let spec = format!("{{containers: [], nodeName: here, tolerations: {tolerations}}}");
            assert_eq!(placed(&spec, node), Placement::Here);
        }
    }
}

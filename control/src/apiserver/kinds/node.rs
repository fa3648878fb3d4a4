//! Nodes.

use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, UNKNOWN, at, list_at, map_at, or_none, str_at, text, wide};
use super::checks::{self, invalid};
use super::decoding::{plain, read, with_quantities};
use crate::apiserver::resource::{Column, FieldError, Resource, Subresource};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const ROLE: &str = "node-role.kubernetes.io/";

/// What there is to know of the kind.
pub(super) const NODE: Resource = Resource {
    short_names: &["no"],
    namespaced: false,
    subresources: &[Subresource::Status],
    decode: with_quantities::<Node>,
    default,
    prepare,
    validate,
    selectable_fields: &["spec.unschedulable"],
    columns: COLUMNS,
    ..plain::<Node>("node")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("Status", "Whether the node is ready, and takes Pods.", |node, _| status(node).into()),
    text("Roles", "What the node is for.", |node, _| roles(node).into()),
    AGE,
    text("Version", "The version of what runs the Pods.", |node, _| {
        str_at(node, "/status/nodeInfo/kubeletVersion").into()
    }),
    wide("Internal-IP", "The node's address within the cluster.", |node, _| {
        address(node, "InternalIP").into()
    }),
    wide("External-IP", "The node's address outside of the cluster.", |node, _| {
        address(node, "ExternalIP").into()
    }),
    wide("OS-Image", "The node's operating system.", |node, _| {
        known(str_at(node, "/status/nodeInfo/osImage")).into()
    }),
    wide("Kernel-Version", "The node's kernel.", |node, _| {
        known(str_at(node, "/status/nodeInfo/kernelVersion")).into()
    }),
    wide("Container-Runtime", "What runs containers on the node.", |node, _| {
        known(str_at(node, "/status/nodeInfo/containerRuntimeVersion")).into()
    }),
];

/// `SetDefaults_NodeStatus`: what there is may be used.
fn default(object: &mut Value) {
    let capacity = at(object, "/status/capacity").clone();
    if !capacity.is_null() && at(object, "/status/allocatable").is_null() {
        object["status"]["allocatable"] = capacity;
    }
}

/// Nodes say their status when they are made, and later through its subresource.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if let Some(old) = old {
        new["status"] = old["status"].clone();
    } else if new["status"].is_null() {
        new["status"] = json!({});
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let node: Node = read(new);
    let mut errors = Vec::new();
    let Some(spec) = &node.spec else { return errors };
    for (index, taint) in spec.taints.iter().flatten().enumerate() {
        let field = format!("spec.taints[{index}]");
        let key = format!("{field}.key");
        errors.extend(invalid(&key, &json!(taint.key), checks::qualified_name(&taint.key)));
        if !EFFECTS.contains(&taint.effect.as_str()) {
            let field = format!("{field}.effect");
            errors.push(FieldError::not_supported(field, &json!(taint.effect), &EFFECTS));
        }
    }
    for (index, cidr) in spec.pod_cidrs.iter().flatten().enumerate() {
        errors.extend(checks::valid_cidr(&format!("spec.podCIDRs[{index}]"), cidr));
    }
    errors
}

fn status(node: &Value) -> String {
    let conditions = list_at(node, "/status/conditions").iter();
    let ready = conditions.filter(|condition| str_at(condition, "/type") == "Ready");
    let ready = ready.map(|condition| str_at(condition, "/status") == "True").next_back();
    let mut status = match ready {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if at(node, "/spec/unschedulable") == true {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Value) -> String {
    let labels = map_at(node, "/metadata/labels").into_iter().flatten();
    let mut roles: Vec<_> = labels
        .filter_map(|(key, value)| match key.strip_prefix(ROLE) {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    or_none(&roles.join(",")).to_owned()
}

fn address(node: &Value, kind: &str) -> String {
    let addresses = list_at(node, "/status/addresses").iter();
    let mut of_kind = addresses.filter(|address| str_at(address, "/type") == kind);
    or_none(of_kind.next().map(|address| str_at(address, "/address")).unwrap_or_default())
        .to_owned()
}

fn known(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_people_know_them() {
        let node = json!({
            "metadata": {"name": "node", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "192.168.0.2"}],
                "nodeInfo": {"kubeletVersion": "v1.34.0"}},
        });
        let now = "2026-01-01T02:00:00Z".parse().unwrap();
        let cells = COLUMNS.iter().map(|column| (column.cell)(&node, now));
        let cells: Vec<_> = cells.map(|cell| cell.as_str().unwrap().to_owned()).collect();
        assert_eq!(
            cells,
            [
                "node",
                "Ready,SchedulingDisabled",
                "control-plane,edge",
                "120m",
                "v1.34.0",
                "192.168.0.2",
                "<none>",
                "<unknown>",
                "<unknown>",
                "<unknown>"
            ]
        );
    }
}

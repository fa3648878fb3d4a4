//! How a Pod stands, and whether Services know of it: API objects in, judgements out. No I/O.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::model::labels::SERVICE_NAME_LABEL;
use crate::model::{Problem, is_headless};

/// How a Pod stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is ready, or has done its work, or somebody holds it back on purpose.
    Settled,
    /// It is not there yet.
    Coming,
    /// It will not come by itself: what is wrong.
    Failed(Problem),
    /// Its process has ended, and is started again now and then.
    Ends(String),
}

/// Judges a Pod.
pub(super) fn of(pod: &Pod) -> Standing {
    let Some(status) = &pod.status else { return Standing::Coming };
    let condition = |type_: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == type_)
    };
    let says = |type_: &str, status: &str, reason: Option<&str>| {
        condition(type_).filter(|found| {
            found.status == status && reason.is_none_or(|it| found.reason.as_deref() == Some(it))
        })
    };
    if says("Ready", "True", None).is_some() || status.phase.as_deref() == Some("Succeeded") {
        return Standing::Settled;
    }
    let gated = says("PodScheduled", "False", Some("SchedulingGated")).is_some()
        || says("Ready", "False", Some("ReadinessGatesNotReady")).is_some();
    if gated {
        return Standing::Settled;
    }
    for (type_, reason) in
        [("PodReadyToStartContainers", "FailedCreatePodSandBox"), ("PodScheduled", "Unschedulable")]
    {
        if let Some(found) = says(type_, "False", Some(reason)) {
            return Standing::Failed(Problem::new(found.message.as_deref().unwrap_or(reason)));
        }
    }
    let lists = [
        ("spec.initContainers", &status.init_container_statuses),
        ("spec.containers", &status.container_statuses),
    ];
    for (field, statuses) in lists {
        for (index, container) in statuses.iter().flatten().enumerate() {
            match of_container(container) {
                Standing::Failed(problem) => {
                    return Standing::Failed(problem.field(format_args!("{field}[{index}]")));
                }
                Standing::Ends(message) => return Standing::Ends(message),
                Standing::Settled | Standing::Coming => {}
            }
        }
    }
    if status.phase.as_deref() == Some("Failed") {
        let message = status.message.as_deref().unwrap_or("it has failed");
        return Standing::Ends(message.to_owned());
    }
    Standing::Coming
}

fn of_container(container: &ContainerStatus) -> Standing {
    let state = container.state.as_ref();
    let now = state.and_then(|state| state.terminated.as_ref());
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let held = state.and_then(|state| state.waiting.as_ref()).is_some();
    let Some(ended) = now.or(last.filter(|_| held)) else { return Standing::Coming };
    let message = ended.message.as_deref().unwrap_or_default();
    match ended.reason.as_deref() {
        Some("StartError" | "CreateContainerConfigError") => {
            Standing::Failed(Problem::new(message))
        }
        Some("Completed") if !held => Standing::Coming,
        _ => {
            let name = &container.name;
            let again = if held { ", and is started again after a while" } else { "" };
            let code = ended.exit_code;
            Standing::Ends(format!(
                "container {name}: its process ended with exit code {code}{again}"
            ))
        }
    }
}

/// Whether the slices of a Service name just those Pods that they should, by `metadata.uid`.
pub(super) fn agrees(service: &Service, pods: &[&Pod], slices: &[EndpointSlice]) -> bool {
    let Some(spec) = &service.spec else { return true };
    let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
        return true;
    };
    if spec.type_.as_deref() == Some("ExternalName") {
        return true;
    }
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let default = ["IPv4".to_owned()];
    let families = if families.is_empty() && is_headless(spec) { &default } else { families };
    let unready_too = spec.publish_not_ready_addresses == Some(true);
    let matches = |pod: &&&Pod| {
        let labels = pod.metadata.labels.as_ref();
        selector.iter().all(|(key, value)| labels.and_then(|all| all.get(key)) == Some(value))
    };
    let ready = |pod: &&&Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut conditions = conditions.into_iter();
        conditions.any(|one| one.type_ == "Ready" && one.status == "True")
            && pod.metadata.deletion_timestamp.is_none()
    };
    families.iter().all(|family| {
        let has_address = |pod: &&&Pod| {
            let ips = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
            ips.into_iter().any(|entry| entry.ip.contains(':') == (family == "IPv6"))
        };
        let wanted: BTreeSet<&str> = pods
            .iter()
            .filter(matches)
            .filter(|pod| unready_too || ready(pod))
            .filter(has_address)
            .filter_map(|pod| pod.metadata.uid.as_deref())
            .collect();
        wanted == named(service, family, slices)
    })
}

/// The Pods that a Service's slices of a family send to.
fn named<'s>(service: &Service, family: &str, slices: &'s [EndpointSlice]) -> BTreeSet<&'s str> {
    let metadata = &service.metadata;
    let ours = slices.iter().filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        slice.metadata.namespace == metadata.namespace
            && labels.and_then(|all| all.get(SERVICE_NAME_LABEL)) == metadata.name.as_ref()
            && slice.address_type == family
    });
    let endpoints = ours.flat_map(|slice| &slice.endpoints);
    endpoints
        .filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready) != Some(false)
        })
        .filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.as_deref())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(status: &str) -> Standing {
        let pod: Pod = serde_yaml_ng::from_str(&format!("{{status: {status}}}")).unwrap();
        of(&pod)
    }

    #[test]
    fn standings() {
        let failed =
            |message: &str, field: &str| Standing::Failed(Problem::new(message).field(field));
        for (status, expected) in [
            ("{}", Standing::Coming),
            ("{conditions: [{type: Ready, status: 'True'}]}", Standing::Settled),
            ("{phase: Succeeded}", Standing::Settled),
            (
                "{conditions: [{type: Ready, status: 'False', reason: ReadinessGatesNotReady}]}",
                Standing::Settled,
            ),
            (
                "{conditions: [{type: Ready, status: 'False', reason: ContainersNotReady}]}",
                Standing::Coming,
            ),
            (
                "{conditions: [{type: PodReadyToStartContainers, status: 'False',
                  reason: FailedCreatePodSandBox, message: Pod CIDR is full}]}",
                failed("Pod CIDR is full", ""),
            ),
            (
                "{containerStatuses: [{name: a, image: '', imageID: '', ready: false,
                  restartCount: 0, state: {waiting: {reason: CrashLoopBackOff}}, lastState:
                  {terminated: {exitCode: 128, reason: StartError, message: no such file}}}]}",
                failed("no such file", "spec.containers[0]"),
            ),
            (
                "{containerStatuses: [{name: a, image: '', imageID: '', ready: false,
                  restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState:
                  {terminated: {exitCode: 3, reason: Error}}}]}",
                Standing::Ends(
                    "container a: its process ended with exit code 3, and is started again after \
                     a while"
                        .to_owned(),
                ),
            ),
        ] {
            assert_eq!(standing(status), expected, "{status}");
        }
    }

    #[test]
    fn services_and_slices() {
        let service: Service = serde_yaml_ng::from_str(
            "{metadata: {name: s, namespace: n}, spec: {selector: {app: a}, ipFamilies: [IPv4]}}",
        )
        .unwrap();
        let pod = |uid: &str, ready: &str| -> Pod {
            let text = format!(
                "{{metadata: {{name: p, namespace: n, uid: {uid}, labels: {{app: a}}}}, status: \
                 {{podIPs: [{{ip: 10.0.0.1}}], conditions: [{{type: Ready, status: '{ready}'}}]}}}}"
            );
            serde_yaml_ng::from_str(&text).unwrap()
        };
        let slice: EndpointSlice = serde_yaml_ng::from_str(
            "{metadata: {namespace: n, labels: {kubernetes.io/service-name: s}}, addressType: IPv4,
              endpoints: [{addresses: [10.0.0.1], targetRef: {uid: u}},
                          {addresses: [10.0.0.2], targetRef: {uid: v}, conditions: {ready: false}}]}",
        )
        .unwrap();
        let (u, v) = (pod("u", "True"), pod("v", "False"));
        assert!(agrees(&service, &[&u, &v], std::slice::from_ref(&slice)));
        assert!(!agrees(&service, &[&u, &v], &[]));
        assert!(!agrees(&service, &[&u, &pod("v", "True")], std::slice::from_ref(&slice)));
        assert!(!agrees(&service, &[], &[slice]), "who has gone is still there");
    }
}

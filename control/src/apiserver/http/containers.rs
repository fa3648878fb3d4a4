//! Which container of which Pod is meant, and who is asked for it.

use std::time::Duration;

use serde_json::Value;

use super::Api;
use super::path::Target;
use super::query::Query;
use crate::apiserver::pods::{Container, PodRequest};
use crate::apiserver::status::Refusal;

/// How long a request may wait until the runner takes it.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// The container that `?container=` names, or the only one; the Pod is there.
pub(super) fn container(
    api: &Api,
    target: Target<'_>,
    pod: &str,
    query: &Query,
) -> Result<Container, Refusal> {
    let namespace = target.namespace_or_none();
    let object = api.0.registry.get(target.of, namespace, pod)?.value();
    let spec = &object["spec"];
    let main = names(&spec["containers"]);
    let init = names(&spec["initContainers"]);
    let name = match query.get("container").filter(|name| !name.is_empty()) {
        Some(name) => {
            let debug = names(&spec["ephemeralContainers"]);
            if ![&main, &init, &debug].into_iter().any(|names| names.contains(&name)) {
                let message = format!("container {name} is not valid for pod {pod}");
                return Err(Refusal::bad_request(message));
            }
            name
        }
        None => match main.as_slice() {
            [only] => only,
            many => {
                let mut message = format!(
                    "a container name must be specified for pod {pod}, choose one of: [{}]",
                    many.join(" ")
                );
                if !init.is_empty() {
                    message += &format!(" or one of the init containers: [{}]", init.join(" "));
                }
                return Err(Refusal::bad_request(message));
            }
        },
    };
    Ok(Container {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: object["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
    })
}

fn names(containers: &Value) -> Vec<&str> {
    containers.as_array().into_iter().flatten().filter_map(|each| each["name"].as_str()).collect()
}

/// Whether there is somebody to ask.
pub(super) fn somebody_runs_pods(api: &Api) -> Result<(), Refusal> {
    match &api.0.pods {
        Some(pods) if !pods.is_closed() => Ok(()),
        _ => Err(nobody()),
    }
}

/// Asks whoever runs the Pods.
pub(super) async fn ask(api: &Api, request: PodRequest) -> Result<(), Refusal> {
    let Some(pods) = &api.0.pods else { return Err(nobody()) };
    match pods.send_timeout(request, TAKEN_WITHIN).await {
        Ok(()) => Ok(()),
        Err(tokio::sync::mpsc::error::SendTimeoutError::Timeout(_)) => {
            Err(super::refusals::too_many())
        }
        Err(tokio::sync::mpsc::error::SendTimeoutError::Closed(_)) => Err(nobody()),
    }
}

fn nobody() -> Refusal {
    let message = "this API server runs no Pods: there are no logs, and no commands can be run";
    Refusal::new(501, "NotImplemented", message)
}

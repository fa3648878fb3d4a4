//! A container, as its process, its probes and commands beside it see it.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Service};
use kube::api::{Api, ListParams};

use super::record::PodRecord;
use super::{Context, tell};
use crate::lab::environment::{Environment, Ingredients, references};

/// Where and with what commands of a container run.
#[derive(Clone)]
pub(super) struct Target {
    /// Its specification.
    pub(super) container: Arc<Container>,
    /// What commands find in their environment.
    pub(super) environment: Arc<Environment>,
    /// Where they run.
    pub(super) network_namespace: String,
    /// Where connections of probes come from.
    pub(super) node_namespace: String,
    /// Where those go.
    pub(super) address: Option<IpAddr>,
}

/// Of a container that is about to start.
///
/// # Errors
/// What is wrong with its environment.
pub(super) async fn of(
    context: &Context,
    pod: &Pod,
    record: &PodRecord,
    container: Arc<Container>,
) -> Result<Target, String> {
    let ingredients = ingredients(context, record, &container).await;
    let ingredients = ingredients.map_err(|error| error.to_string())?;
    // Its addresses are part of its status, which nobody may have been told yet.
    let status = Some(tell::status_of(context, pod, record, None));
    let pod = Pod { status, ..pod.clone() };
    let environment = Environment::of(&pod, &container, &ingredients)?;
    Ok(with(context, record, container, environment))
}

/// Of one that was started before: what was in its environment then may be no more.
pub(super) async fn again(
    context: &Context,
    pod: &Pod,
    record: &PodRecord,
    container: Container,
) -> Target {
    let container = Arc::new(container);
    match of(context, pod, record, container.clone()).await {
        Ok(target) => target,
        Err(_) => with(context, record, container, Environment::default()),
    }
}

fn with(
    context: &Context,
    record: &PodRecord,
    container: Arc<Container>,
    environment: Environment,
) -> Target {
    let node_namespace = context.site.node_namespace();
    let sandbox = record.sandbox.as_ref();
    Target {
        container,
        environment: Arc::new(environment),
        network_namespace: sandbox
            .map_or_else(|| node_namespace.clone(), |sandbox| sandbox.network_namespace.clone()),
        node_namespace,
        address: sandbox.and_then(|sandbox| sandbox.addresses.first().copied()),
    }
}

/// Asked for anew each time: what is there when the container starts is what it sees.
async fn ingredients(
    context: &Context,
    record: &PodRecord,
    container: &Container,
) -> kube::Result<Ingredients> {
    let (client, namespace) = (&context.client, &record.namespace);
    let mut ingredients = Ingredients::default();
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    ingredients.services = services.list(&ListParams::default()).await?.items;
    let (config_maps, secrets) = references(container);
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    for name in config_maps {
        if let Some(found) = api.get_opt(&name).await? {
            ingredients.config_maps.insert(name, found.data.unwrap_or_default());
        }
    }
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for name in secrets {
        if let Some(found) = api.get_opt(&name).await? {
            let data = found.data.unwrap_or_default().into_iter();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let data = data.map(|(key, value)| (key, text(value.0))).collect();
            ingredients.secrets.insert(name, data);
        }
    }
    Ok(ingredients)
}

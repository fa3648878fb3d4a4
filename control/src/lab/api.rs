//! The lab's API, as its commands use it.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::interrupt::Interrupt;
use super::objects::Name;
use super::{LabError, Result, Site};
use crate::apiserver::resource::{self, Resource};

/// Whose changes these are.
const FIELD_MANAGER: &str = "maglane-lab";
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the lab's API.
#[derive(Clone)]
pub(super) struct Api(Client);

/// What the API refused.
pub(super) type Refused = Box<kube::core::Status>;

/// Runs a command's work, until it is done or interrupted.
pub(super) fn block_on<T>(
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LabError::io("start", "the runtime"))?;
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            () = interrupt.wait() => Err(LabError::Interrupted),
        }
    })
}

impl Api {
    /// Reads the lab's kubeconfig. Nothing is asked yet.
    pub(super) async fn of(site: &Site) -> Result<Self> {
        let path = site.kubeconfig();
        let unreadable = |cause: kube::config::KubeconfigError| {
            LabError::io("read", &path)(std::io::Error::other(cause))
        };
        let kubeconfig = Kubeconfig::read_from(&path).map_err(unreadable)?;
        let options = KubeConfigOptions::default();
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unreadable)?;
        // The loopback is behind nobody's proxy.
        config.proxy_url = None;
        config.read_timeout = Some(PATIENCE);
        Ok(Self(Client::try_from(config)?))
    }

    /// Makes an object.
    pub(super) async fn create(
        &self,
        of: &Resource,
        namespace: &str,
        value: &Value,
        dry_run: bool,
    ) -> Result<std::result::Result<Value, Refused>> {
        let mut path = format!(
            "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict",
            collection(&of.root(), of.plural, namespace)
        );
        if dry_run {
            path.push_str("&dryRun=All");
        }
        self.send("POST", &path, Some(value)).await
    }

    /// Looks at one.
    pub(super) async fn get(&self, name: &Name) -> Result<std::result::Result<Value, Refused>> {
        self.send("GET", &object(name), None).await
    }

    /// Puts another version in its place.
    pub(super) async fn update(
        &self,
        name: &Name,
        value: &Value,
    ) -> Result<std::result::Result<Value, Refused>> {
        let query = format!("?fieldManager={FIELD_MANAGER}&fieldValidation=Strict");
        self.send("PUT", &(object(name) + &query), Some(value)).await
    }

    /// Deletes one, as gently as it asks for.
    pub(super) async fn delete(&self, name: &Name) -> Result<std::result::Result<Value, Refused>> {
        let query = "?propagationPolicy=Background";
        self.send("DELETE", &(object(name) + query), None).await
    }

    /// All objects of a kind, in one namespace or everywhere.
    pub(super) async fn list(&self, of: &Resource, namespace: &str) -> Result<Vec<Value>> {
        self.items(&collection(&of.root(), of.plural, namespace)).await
    }

    /// The same, of a kind that is known here.
    pub(super) async fn values<K: k8s_openapi::Resource>(
        &self,
        namespace: &str,
    ) -> Result<Vec<Value>> {
        let root = resource::root(K::GROUP, K::VERSION);
        self.items(&collection(&root, K::URL_PATH_SEGMENT, namespace)).await
    }

    /// And read.
    pub(super) async fn all<K: k8s_openapi::Resource + DeserializeOwned>(
        &self,
        namespace: &str,
    ) -> Result<Vec<K>> {
        let values = self.values::<K>(namespace).await?.into_iter();
        let read = values.map(serde_json::from_value).collect::<std::result::Result<_, _>>();
        Ok(read.map_err(Error::SerdeError)?)
    }

    async fn items(&self, path: &str) -> Result<Vec<Value>> {
        let answer = self.send("GET", path, None).await?;
        let mut list = answer.map_err(Error::Api)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<std::result::Result<Value, Refused>> {
        let body = body.map(|value| value.to_string().into_bytes()).unwrap_or_default();
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(kube::client::Body::from(body))
            .map_err(Error::HttpError)?;
        let response = self.0.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(Ok(serde_json::from_slice(&body).map_err(Error::SerdeError)?));
        }
        Ok(Err(serde_json::from_slice(&body).map_err(Error::SerdeError)?))
    }
}

fn collection(root: &str, plural: &str, namespace: &str) -> String {
    match namespace {
        "" => format!("{root}/{plural}"),
        namespace => format!("{root}/namespaces/{}/{plural}", encoded(namespace)),
    }
}

fn object(name: &Name) -> String {
    let Name { resource, namespace, name } = name;
    let collection = collection(&resource.root(), resource.plural, namespace);
    format!("{collection}/{}", encoded(name))
}

/// Names are made of these; whatever else somebody writes must not become part of a path.
fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(byte);
    text.bytes()
        .map(
            |byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds;

    #[test]
    fn paths() {
        let name = |group, plural, namespace: &str, name: &str| Name {
            resource: kinds::by_plural(group, "v1", plural).unwrap(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let web = name("", "services", "default", "web");
        assert_eq!(object(&web), "/api/v1/namespaces/default/services/web");
        let odd = name("apps", "deployments", "a", "../../x y");
        assert_eq!(object(&odd), "/apis/apps/v1/namespaces/a/deployments/..%2F..%2Fx%20y");
        assert_eq!(object(&name("", "nodes", "", "n")), "/api/v1/nodes/n");
    }
}

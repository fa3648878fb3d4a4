//! The kubeconfig: how clients find the server, and what they need to be let in.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::identity::Identity;

/// Cluster, context and user are all named so.
const NAME: &str = "maglane";

/// Of a server at `url`, in YAML; authority and token are inside, so the file is all that a client
/// needs.
pub(crate) fn kubeconfig(url: &str, identity: &Identity) -> String {
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(identity.authority_certificate()),
        }}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME, "namespace": "default"}}],
        "users": [{"name": NAME, "user": {"token": identity.token()}}],
    });
    // Every JSON text is YAML as well, should the writer ever refuse.
    serde_yaml_ng::to_string(&config).unwrap_or_else(|_| config.to_string())
}

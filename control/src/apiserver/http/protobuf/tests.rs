use std::collections::BTreeSet;

use k8s_openapi::api::{apps, coordination, core, discovery, events, networking, rbac};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::json;

use super::schema::{Message, What};
use super::*;
use crate::apiserver::kinds;

/// What `kubectl create service nodeport web --tcp=80:8080 --node-port=30080` sends (1.32).
const SERVICE: &str = "azhzAAoNCgJ2MRIHU2VydmljZRJqCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEkMKHQ\
    oHODAtODA4MBIDVENQGFAiBwgAEJA/GgAogOsBEgoKA2FwcBIDd2ViGgAiCE5vZGVQb3J0OgBCAFIAWgBgAGgAGgIKABoAIgA=";
/// What `kubectl create deployment web --image=x --replicas=2 --port=8080` sends.
const DEPLOYMENT: &str = "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErABCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBI\
    Dd2ViEn8IAhIMCgoKA2FwcBIDd2ViGmUKHAoAEgAaACIAKgAyADgAQgBaCgoDYXBwEgN3ZWISRRInCgF4EgF4KgAyCwoAEAAYkD8iACoA\
    QgBqAHIAgAEAiAEAkAEAogEAGgAyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBACICCgAoADgAGgwIABAAGAAgACgAOAAaACIA";

fn bytes(base64: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

#[test]
fn what_kubectl_sends() {
    assert_eq!(
        object(&bytes(SERVICE)).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {
                "ports": [{"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}],
                "selector": {"app": "web"},
                "type": "NodePort",
            },
            "status": {"loadBalancer": {}},
        })
    );
    assert_eq!(
        object(&bytes(DEPLOYMENT)).unwrap(),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "x", "image": "x", "ports": [{"containerPort": 8080}], "resources": {}}]},
                },
                "strategy": {},
            },
            "status": {},
        })
    );
}

/// Length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [PREFIX.to_vec(), field(1, &type_meta), field(2, raw)].concat()
}

#[test]
fn zero_is_something_where_it_was_asked_for() {
    // gracePeriodSeconds: 0, as a pointer; propagationPolicy.
    let raw = [vec![0x08, 0x00], field(4, b"Background")].concat();
    let options = object(&enveloped("apps/v1", "DeleteOptions", &raw)).unwrap();
    assert_eq!(options["gracePeriodSeconds"], 0);
    assert_eq!(options["propagationPolicy"], "Background");
    let bool_as_bytes = enveloped("v1", "ConfigMap", &field(4, &[0x08, 0x00]));
    assert_eq!(object(&bool_as_bytes), Err(ProtobufError::Malformed));
}

#[test]
fn values_that_json_writes_in_its_own_way() {
    // A Lease: renewTime {seconds: 1, nanos: 5000}.
    let spec = [field(1, b"me"), field(4, &[0x08, 1, 0x10, 0x88, 0x27])].concat();
    let lease = object(&enveloped("coordination.k8s.io/v1", "Lease", &field(2, &spec))).unwrap();
    assert_eq!(
        lease["spec"],
        json!({"holderIdentity": "me", "renewTime": "1970-01-01T00:00:01.000005Z"})
    );
    // A Secret: data by name.
    let entry = [field(1, b"a"), field(2, b"\xff\x00")].concat();
    let secret = object(&enveloped("v1", "Secret", &field(2, &entry))).unwrap();
    assert_eq!(secret["data"], json!({"a": "/wA="}));
    // An annotation that is empty is there.
    let annotated = field(1, &field(12, &field(1, b"a")));
    let map = object(&enveloped("v1", "ConfigMap", &annotated)).unwrap();
    assert_eq!(map["metadata"]["annotations"], json!({"a": ""}));
}

#[test]
fn what_is_no_object() {
    assert_eq!(object(b"{}"), Err(ProtobufError::Prefix));
    assert_eq!(object(b"k8s\0\x0a\x7f"), Err(ProtobufError::Malformed));
    let unknown = object(&enveloped("v1", "Thing", b""));
    let kind = ProtobufError::Kind { api_version: "v1".into(), kind: "Thing".into() };
    assert_eq!(unknown, Err(kind));
    assert!(object(&enveloped("v2", "Service", b"")).is_err());
    // Every prefix of a real one is an error or an object, and never a panic.
    let whole = bytes(DEPLOYMENT);
    for length in 0..whole.len() {
        let _ = object(&whole[..length]);
    }
}

/// Names in JSON, those of what stands in a message's own place included.
fn names(message: &Message) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for field in message {
        match (field.name, field.what) {
            (Some(name), _) => {
                names.insert(name);
            }
            (None, What::Message(inner)) => names.extend(self::names(&SCHEMA[inner])),
            (None, _) => panic!("only messages stand in a message's place"),
        }
    }
    names
}

#[test]
fn the_schema_is_whole() {
    let text = include_str!("schema.txt");
    let lines = text.lines().filter(|line| line.starts_with("  ")).count();
    assert_eq!(SCHEMA.values().map(Vec::len).sum::<usize>(), lines, "every line is a field");
    for field in SCHEMA.values().flatten() {
        if let What::Message(name) = field.what {
            assert!(SCHEMA.contains_key(name), "{name}");
        }
    }
    for kind in kinds::all() {
        let version = if kind.group.is_empty() {
            kind.version.to_owned()
        } else {
            format!("{}/{}", kind.group, kind.version)
        };
        let name = message_name(&version, kind.kind).unwrap();
        assert!(SCHEMA.contains_key(&*name), "{name}");
    }
}

/// Every field that the kinds' types have can be read.
#[test]
fn no_field_is_missing() {
    let mut generator = SchemaGenerator::new(SchemaSettings::openapi3());
    generator.subschema_for::<core::v1::ConfigMap>();
    generator.subschema_for::<core::v1::Endpoints>();
    generator.subschema_for::<core::v1::Event>();
    generator.subschema_for::<core::v1::Namespace>();
    generator.subschema_for::<core::v1::Node>();
    generator.subschema_for::<core::v1::Pod>();
    generator.subschema_for::<core::v1::Secret>();
    generator.subschema_for::<core::v1::Service>();
    generator.subschema_for::<core::v1::ServiceAccount>();
    generator.subschema_for::<apps::v1::DaemonSet>();
    generator.subschema_for::<apps::v1::Deployment>();
    generator.subschema_for::<apps::v1::ReplicaSet>();
    generator.subschema_for::<coordination::v1::Lease>();
    generator.subschema_for::<discovery::v1::EndpointSlice>();
    generator.subschema_for::<events::v1::Event>();
    generator.subschema_for::<networking::v1::ServiceCIDR>();
    generator.subschema_for::<rbac::v1::ClusterRole>();
    generator.subschema_for::<rbac::v1::ClusterRoleBinding>();
    generator.subschema_for::<rbac::v1::Role>();
    generator.subschema_for::<rbac::v1::RoleBinding>();
    let definitions = generator.take_definitions(true);
    assert!(definitions.len() > 150, "{}", definitions.len());
    let mut seen = 0;
    for (name, schema) in &definitions {
        // io.k8s.api.core.v1.Pod, io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta
        let parts: Vec<_> = name.split('.').collect();
        let [.., group, _, kind] = parts.as_slice() else { panic!("{name}") };
        let Some(properties) = schema.get("properties").and_then(|of| of.as_object()) else {
            continue;
        };
        let message = SCHEMA.get(format!("{group}.{kind}").as_str());
        let message = message.unwrap_or_else(|| panic!("no message for {name}"));
        let known = names(message);
        for property in
            properties.keys().filter(|name| !["apiVersion", "kind"].contains(&name.as_str()))
        {
            assert!(known.contains(property.as_str()), "{name}.{property}");
        }
        seen += 1;
    }
    assert!(seen > 150, "{seen}");
}

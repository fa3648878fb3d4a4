//! What an object is to become when it is applied: three versions in, one out, as `kubectl apply`
//! does it on the client's side for kinds that it does not know: a list is given whole, and what
//! others have put into it is lost.

use serde_json::{Map, Value, json};

/// Where kubectl, too, remembers what was applied last.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object with a memory of itself.
pub(super) fn with_memory(given: &Value) -> Value {
    let mut value = given.clone();
    if !value["metadata"]["annotations"].is_object() {
        value["metadata"]["annotations"] = json!({});
    }
    if let Some(annotations) = value["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let memory = format!("{value}\n");
    value["metadata"]["annotations"][LAST_APPLIED] = memory.into();
    value
}

/// What is there, with what is given put over it; what was given last time and is not any more is
/// taken away. Lists are given whole.
pub(super) fn merge(live: &Value, given: &Value) -> Value {
    let annotations = &live["metadata"]["annotations"];
    let memory = annotations[LAST_APPLIED].as_str().unwrap_or_default();
    let last: Value = serde_json::from_str(memory).unwrap_or_default();
    let mut merged = live.clone();
    take_away(&mut merged, &last, given);
    put_over(&mut merged, &with_memory(given));
    // Nobody sets another's status by applying.
    match live.get("status") {
        Some(status) => merged["status"] = status.clone(),
        None => drop(merged.as_object_mut().and_then(|fields| fields.remove("status"))),
    }
    merged
}

fn put_over(target: &mut Value, given: &Value) {
    match (target, given) {
        (Value::Object(target), Value::Object(given)) => put_fields(target, given),
        (target, given) => target.clone_from(given),
    }
}

fn put_fields(target: &mut Map<String, Value>, given: &Map<String, Value>) {
    for (key, value) in given {
        if value.is_null() {
            target.remove(key);
        } else {
            put_over(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn take_away(target: &mut Value, last: &Value, given: &Value) {
    let (Value::Object(target), Value::Object(last)) = (target, last) else { return };
    for (key, value) in last {
        match given.get(key) {
            None => drop(target.remove(key)),
            Some(given) => {
                if let Some(target) = target.get_mut(key) {
                    take_away(target, value, given);
                }
            }
        }
    }
}

/// Whether two versions differ in more than what every write changes.
pub(super) fn differ(a: &Value, b: &Value) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value["metadata"].as_object_mut() {
            for field in ["resourceVersion", "generation", "managedFields"] {
                metadata.remove(field);
            }
        }
        value
    };
    plain(a) != plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    }

    /// As the server would have made it.
    fn live(given: &Value, defaults: &Value) -> Value {
        let mut live = with_memory(given);
        live["metadata"]["resourceVersion"] = "7".into();
        put_over(&mut live["spec"], defaults);
        live
    }

    #[test]
    fn what_the_server_and_others_have_set_stays() {
        let given = service(json!({"selector": {"app": "web"}}));
        let mut live = live(&given, &json!({"clusterIP": "10.96.0.1"}));
        live["metadata"]["labels"] = json!({"by": "hand"});
        assert!(!differ(&merge(&live, &given), &live));
    }

    #[test]
    fn what_is_given_no_more_goes() {
        let given = service(json!({"selector": {"app": "web", "tier": "front"}, "ports": [1]}));
        let live = live(&given, &json!({"clusterIP": "10.96.0.1"}));
        let merged = merge(&live, &service(json!({"selector": {"app": "web"}, "ports": [2]})));
        let expected = json!({"selector": {"app": "web"}, "ports": [2], "clusterIP": "10.96.0.1"});
        assert_eq!(merged["spec"], expected);
        assert_eq!(merged["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn memory_is_as_kubectl_writes_it() {
        let value = with_memory(&service(json!({})));
        let memory = value["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
        let expected = "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":\
                        {\"annotations\":{},\"name\":\"web\"},\"spec\":{}}\n";
        assert_eq!(memory, expected);
    }

    #[test]
    fn a_status_is_nobodys_to_apply() {
        let mut given = service(json!({}));
        given["status"] = json!({"loadBalancer": {"ingress": []}});
        let mut live = live(&service(json!({})), &json!({}));
        assert!(merge(&live, &given).get("status").is_none());
        live["status"] = json!({"loadBalancer": {}});
        assert_eq!(merge(&live, &given)["status"], live["status"]);
    }
}

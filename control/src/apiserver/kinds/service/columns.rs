use serde_json::Value;

use crate::apiserver::kinds::cells::{
    AGE, NAME, UNKNOWN, int_at, joined_at, labels_at, list_at, or_none, str_at, text, wide,
};
use crate::apiserver::resource::Column;

/// As people know them.
pub(super) const COLUMNS: &[Column] = &[
    NAME,
    text("Type", "How the Service is exposed.", |object, _| str_at(object, "/spec/type").into()),
    text("Cluster-IP", "The address of the Service within the cluster.", |object, _| {
        let first = list_at(object, "/spec/clusterIPs").first().and_then(Value::as_str);
        or_none(first.unwrap_or_default()).into()
    }),
    text("External-IP", "The addresses of the Service outside of the cluster.", |object, _| {
        external_ip(object).into()
    }),
    text("Port(s)", "The ports of the Service.", |object, _| or_none(&ports(object)).into()),
    AGE,
    wide("Selector", "The labels of the Pods that the Service sends to.", |object, _| {
        labels_at(object, "/spec/selector").into()
    }),
];

fn external_ip(object: &Value) -> String {
    let external_ips = joined_at(object, "/spec/externalIPs");
    match str_at(object, "/spec/type") {
        "ClusterIP" | "NodePort" => or_none(&external_ips).to_owned(),
        "LoadBalancer" => {
            let ingress = list_at(object, "/status/loadBalancer/ingress").iter();
            let shown = ingress.map(|ingress| match str_at(ingress, "/ip") {
                "" => str_at(ingress, "/hostname"),
                ip => ip,
            });
            let shown = shown.chain(external_ips.split(',')).filter(|text| !text.is_empty());
            let shown = shown.collect::<Vec<_>>().join(",");
            if shown.is_empty() { "<pending>".to_owned() } else { shown }
        }
        "ExternalName" => str_at(object, "/spec/externalName").to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// `80/TCP,443:30443/TCP`.
fn ports(object: &Value) -> String {
    let shown = list_at(object, "/spec/ports").iter().map(|entry| {
        let (port, protocol) = (int_at(entry, "/port"), str_at(entry, "/protocol"));
        match int_at(entry, "/nodePort") {
            0 => format!("{port}/{protocol}"),
            node => format!("{port}:{node}/{protocol}"),
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

use serde_json::{Value, json};

use super::*;
use crate::apiserver::kinds::by_plural;

fn services() -> &'static Resource {
    by_plural("", "v1", "services").unwrap()
}

/// A cluster with these CIDRs and the Services `n/api` at 10.96.0.10 with node port 31000.
fn cluster(cidrs: &[&str]) -> ServiceIps {
    let mut all = ServiceIps::default();
    add_cidr(&mut all, "kubernetes", cidrs);
    let taken = json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "type": "NodePort",
        "ports": [{"port": 80, "nodePort": 31_000}]});
    all.observe(services(), None, Some(&service("api", taken)));
    all
}

fn add_cidr(all: &mut ServiceIps, name: &str, cidrs: &[&str]) {
    all.observe(
        cidr_kind(),
        None,
        Some(&json!({"metadata": {"name": name}, "spec": {"cidrs": cidrs}})),
    );
}

fn cidr_kind() -> &'static Resource {
    by_plural("networking.k8s.io", "v1", "servicecidrs").unwrap()
}

fn service(name: &str, mut spec: Value) -> Value {
    if let Some(ip) = spec.get("clusterIP").cloned()
        && spec.get("clusterIPs").is_none()
    {
        spec["clusterIPs"] = json!([ip]);
    }
    let metadata = json!({"name": name, "namespace": "n"});
    let mut service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    (services().default)(&mut service);
    service
}

/// What a Service gets: addresses, families, policy, node ports; or the refusal. It is written.
fn assign(
    all: &mut ServiceIps,
    name: &str,
    spec: Value,
    old: Option<&Value>,
) -> Result<Value, String> {
    let mut new = service(name, spec);
    all.assign(services(), &mut new, old).map_err(|refusal| refusal.message)?;
    all.observe(services(), old, Some(&new));
    Ok(new)
}

/// The same in one line.
fn shown(service: &Value) -> String {
    let service: Service = read(service);
    let spec = service.spec.unwrap();
    let ports = spec.ports.iter().flatten().filter_map(|port| port.node_port);
    let ports: Vec<_> =
        ports.chain(spec.health_check_node_port).map(|port| port.to_string()).collect();
    assert_eq!(spec.cluster_ip.as_deref(), cluster_ips(&spec).first().map(String::as_str));
    let (ips, families) = (cluster_ips(&spec).join(","), ip_families(&spec).join(","));
    let policy = spec.ip_family_policy.unwrap_or_default();
    [ips, families, policy, ports.join(",")].join(" ").trim().to_owned()
}

const BOTH: &[&str] = &["10.96.0.0/16", "fd00:10:96::/112"];
const ONE: &[&str] = &["10.96.0.0/16"];

#[test]
fn new_services_get_what_the_real_server_gives_them() {
    let port = json!([{"port": 80}]);
    let refused = |field: &str, value: &str, message: &str| {
        format!("Service \"web\" is invalid: {field}: Invalid value: {value}: {message}")
    };
    let failed = |ip: &str, message: &str| {
        let message = format!("failed to allocate IP {ip}: {message}");
        refused("spec.clusterIPs", &format!("[\"{ip}\"]"), &message)
    };
    for (spec, cidrs, expected) in [
        (json!({}), BOTH, "10.96.1.1 IPv4 SingleStack".to_owned()),
        (json!({"ipFamilies": ["IPv6"]}), BOTH, "fd00:10:96::101 IPv6 SingleStack".into()),
        (
            json!({"ipFamilyPolicy": "PreferDualStack"}),
            BOTH,
            "10.96.1.1,fd00:10:96::101 IPv4,IPv6 PreferDualStack".into(),
        ),
        (
            json!({"ipFamilyPolicy": "PreferDualStack"}),
            ONE,
            "10.96.1.1 IPv4 PreferDualStack".into(),
        ),
        (
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
            BOTH,
            "fd00:10:96::101,10.96.1.1 IPv6,IPv4 RequireDualStack".into(),
        ),
        (
            json!({"ipFamilyPolicy": "RequireDualStack"}),
            ONE,
            refused(
                "spec.ipFamilyPolicy",
                "\"RequireDualStack\"",
                "this cluster is not configured for dual-stack services",
            ),
        ),
        (
            json!({"ipFamilies": ["IPv6"]}),
            ONE,
            refused("spec.ipFamilies[0]", "\"IPv6\"", "not configured on this cluster"),
        ),
        (
            json!({"ipFamilies": ["IPv4", "IPv6"]}),
            BOTH,
            refused(
                "spec.ipFamilyPolicy",
                "\"SingleStack\"",
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
            ),
        ),
        (json!({"clusterIP": "10.96.0.11"}), BOTH, "10.96.0.11 IPv4 SingleStack".into()),
        (json!({"clusterIP": "fd00:10:96::5"}), BOTH, "fd00:10:96::5 IPv6 SingleStack".into()),
        (
            json!({"clusterIP": "fd00:10:96::5"}),
            ONE,
            refused(
                "spec.clusterIPs[0]",
                "[\"fd00:10:96::5\"]",
                "IPv6 is not configured on this cluster",
            ),
        ),
        (
            json!({"clusterIP": "10.96.0.10"}),
            BOTH,
            failed("10.96.0.10", "provided IP is already allocated"),
        ),
        (
            json!({"clusterIP": "010.96.0.10"}),
            BOTH,
            failed("010.96.0.10", "provided IP is already allocated"),
        ),
        (
            json!({"clusterIP": "10.97.0.10"}),
            BOTH,
            failed("10.97.0.10", "the provided network does not match the current range"),
        ),
        (
            json!({"clusterIP": "10.96.255.255"}),
            BOTH,
            failed(
                "10.96.255.255",
                "the provided IP (10.96.255.255) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
            ),
        ),
        (
            json!({"clusterIP": "ten"}),
            ONE,
            refused(
                "spec.clusterIPs[0]",
                "\"ten\"",
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ),
        ),
        (
            json!({"clusterIP": "10.96.0.11", "ipFamilies": ["IPv6"]}),
            BOTH,
            refused(
                "spec.clusterIPs[0]",
                "\"10.96.0.11\"",
                "expected an IPv6 value as indicated by `ipFamilies[0]`",
            ),
        ),
        (json!({"clusterIP": "None"}), ONE, "None IPv4,IPv6 RequireDualStack".into()),
        (
            json!({"clusterIP": "None", "selector": {"app": "a"}}),
            BOTH,
            "None IPv4 SingleStack".into(),
        ),
        (json!({"type": "ExternalName", "externalName": "a.b"}), BOTH, "".into()),
        (
            json!({"type": "NodePort", "ports": port}),
            ONE,
            "10.96.1.1 IPv4 SingleStack 30086".into(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}, {"port": 80}]}),
            ONE,
            "10.96.1.1 IPv4 SingleStack 30086,30086,30087".into(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81, "nodePort": 30_086}]}),
            ONE,
            "10.96.1.1 IPv4 SingleStack 30086,30086".into(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 31_000}]}),
            ONE,
            refused("spec.ports[0].nodePort", "31000", "provided port is already allocated"),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            ONE,
            refused(
                "spec.ports[0].nodePort",
                "80",
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            ),
        ),
        (
            json!({"type": "LoadBalancer", "ports": port, "externalTrafficPolicy": "Local"}),
            ONE,
            "10.96.1.1 IPv4 SingleStack 30086,30087".into(),
        ),
        (
            json!({"type": "LoadBalancer", "ports": port, "allocateLoadBalancerNodePorts": false}),
            ONE,
            "10.96.1.1 IPv4 SingleStack".into(),
        ),
        (
            json!({"type": "LoadBalancer", "ports": port, "externalTrafficPolicy": "Local", "healthCheckNodePort": 31_000}),
            ONE,
            "Internal error occurred: failed to allocate requested HealthCheck NodePort 31000: provided port is already allocated"
                .into(),
        ),
        (
            json!({}),
            &["10.96.0.10/32"],
            "Internal error occurred: failed to allocate a serviceIP: range is full".into(),
        ),
    ] {
        let found = assign(&mut cluster(cidrs), "web", spec.clone(), None);
        let found = found.map_or_else(|error| error, |service| shown(&service));
        assert_eq!(found, expected, "{spec} of {cidrs:?}");
    }
}

#[test]
fn services_change_stacks_and_types() {
    let mut all = cluster(BOTH);
    let one = assign(&mut all, "web", json!({}), None).unwrap();
    assert_eq!(shown(&one), "10.96.1.1 IPv4 SingleStack");
    let with = |service: &Value, changes: Value| {
        let mut spec = service["spec"].clone();
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        spec
    };
    let dual = with(&one, json!({"ipFamilyPolicy": "RequireDualStack"}));
    let dual = assign(&mut all, "web", dual, Some(&one)).unwrap();
    assert_eq!(shown(&dual), "10.96.1.1,fd00:10:96::101 IPv4,IPv6 RequireDualStack");
    // Half of it taken away, and single stack not asked for.
    let half = with(&dual, json!({"clusterIPs": ["10.96.1.1"]}));
    assert_eq!(
        assign(&mut all, "web", half, Some(&dual)).unwrap_err(),
        "Service \"web\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": \
         must be 'SingleStack' to release the secondary cluster IP"
    );
    let single = with(&dual, json!({"ipFamilyPolicy": "SingleStack"}));
    let single = assign(&mut all, "web", single, Some(&dual)).unwrap();
    assert_eq!(shown(&single), "10.96.1.1 IPv4 SingleStack");
    // Both addresses are free again once it has none.
    let name = json!({"type": "ExternalName", "externalName": "a.b"});
    let name = assign(&mut all, "web", name, Some(&single)).unwrap();
    assert_eq!(shown(&name), "");
    let other = assign(&mut all, "other", json!({"ipFamilyPolicy": "PreferDualStack"}), None);
    let other = other.unwrap();
    assert_eq!(shown(&other), "10.96.1.1,fd00:10:96::101 IPv4,IPv6 PreferDualStack");
    let back =
        assign(&mut all, "web", json!({"type": "NodePort", "ports": [{"port": 80}]}), Some(&name));
    let back = back.unwrap();
    assert_eq!(shown(&back), "10.96.1.2 IPv4 SingleStack 30086");
    // What was its own stays, without a question.
    let again = assign(&mut all, "web", back["spec"].clone(), Some(&back)).unwrap();
    assert_eq!(again, back);
    all.observe(services(), Some(&other), None);
    let new = assign(&mut all, "new", json!({}), None).unwrap();
    assert_eq!(shown(&new), "10.96.1.1 IPv4 SingleStack");
}

#[test]
fn nothing_is_taken_before_it_is_committed() {
    let mut all = cluster(ONE);
    for _ in 0..3 {
        let mut dry = service("web", json!({"type": "NodePort", "ports": [{"port": 80}]}));
        all.assign(services(), &mut dry, None).unwrap();
        assert_eq!(shown(&dry), "10.96.1.1 IPv4 SingleStack 30086");
    }
}

#[test]
fn service_cidrs_come_and_go() {
    let mut all = ServiceIps::default();
    let none = assign(&mut all, "a", json!({"ipFamilies": ["IPv4"]}), None).unwrap_err();
    assert!(
        none.ends_with(
            "spec.ipFamilies[0]: Invalid value: \"IPv4\": not configured on this cluster"
        )
    );
    add_cidr(&mut all, "kubernetes", &["10.0.0.0/30"]);
    let ips = |all: &mut ServiceIps, name: &str| {
        assign(all, name, json!({}), None).map(|service| shown(&service))
    };
    assert_eq!(ips(&mut all, "a").unwrap(), "10.0.0.1 IPv4 SingleStack");
    assert_eq!(ips(&mut all, "b").unwrap(), "10.0.0.2 IPv4 SingleStack");
    assert_eq!(
        ips(&mut all, "c").unwrap_err(),
        "Internal error occurred: failed to allocate a serviceIP: range is full"
    );
    add_cidr(&mut all, "more", &["10.1.0.0/24"]);
    assert_eq!(ips(&mut all, "c").unwrap(), "10.1.0.17 IPv4 SingleStack");
    let ending = json!({"metadata": {"name": "more", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"cidrs": ["10.1.0.0/24"]}});
    all.observe(cidr_kind(), None, Some(&ending));
    assert!(ips(&mut all, "d").is_err());
    assert_eq!(first_address("10.1.0.0/24".parse().unwrap()).unwrap().to_string(), "10.1.0.1");
}

#[test]
fn ten_thousand_services_get_an_address_each_and_then_the_lower_band() {
    let mut all = ServiceIps::default();
    add_cidr(&mut all, "kubernetes", &["10.96.0.0/18"]);
    let mut given = std::collections::HashSet::new();
    for number in 0..16_382 {
        let service = assign(&mut all, &format!("s{number}"), json!({}), None).unwrap();
        assert!(given.insert(service["spec"]["clusterIP"].as_str().unwrap().to_owned()));
    }
    assert!(given.contains("10.96.0.1") && given.contains("10.96.63.254"));
    assert!(assign(&mut all, "last", json!({}), None).is_err());
}

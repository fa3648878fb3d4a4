use serde_json::{Value, json};

use super::SERVICE;

/// A Service with these parts, as it stands when its rules are checked.
fn prepared(spec: Value, old: Option<&Value>) -> Value {
    let metadata = json!({"name": "web", "namespace": "default"});
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    let mut object = (SERVICE.decode)(object).unwrap().object;
    (SERVICE.default)(&mut object);
    (SERVICE.prepare)(&mut object, old);
    object
}

/// What is wrong with a Service, a line each.
fn errors(spec: Value, old: Option<&Value>) -> String {
    let errors = (SERVICE.validate)(&prepared(spec, old), old);
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_left_out_is_filled_in() {
    for (spec, expected) in [
        (
            json!({"ports": [{"port": 80}], "selector": {"app": "web"}, "clusterIP": ""}),
            json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
                "selector": {"app": "web"}, "type": "ClusterIP", "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster"}),
        ),
        (
            json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP",
                "ports": [{"port": 80, "targetPort": "http", "name": ""}]}),
            json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": "http"}],
                "type": "LoadBalancer", "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}},
                "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": true}),
        ),
        (
            json!({"type": "ExternalName", "externalName": "a.example"}),
            json!({"type": "ExternalName", "externalName": "a.example", "sessionAffinity": "None"}),
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "None"}),
            json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
                "clusterIP": "None", "clusterIPs": ["None"], "type": "ClusterIP",
                "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}),
        ),
    ] {
        let object = prepared(spec, None);
        assert_eq!(object["spec"], expected);
        assert_eq!(object["status"], json!({"loadBalancer": {}}));
        let mut again = object.clone();
        (SERVICE.default)(&mut again);
        assert_eq!(again, object);
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_the_real_words() {
    let port = |port: Value| json!({"ports": [port]});
    for (spec, expected) in [
        (json!({"ports": [{"port": 80}]}), ""),
        (json!({}), "spec.ports: Required value"),
        (json!({"clusterIP": "None"}), ""),
        (
            port(json!({"port": 70_000})),
            "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive\n\
             spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            port(json!({"port": 80, "protocol": "tcp"})),
            "spec.ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \
             \"TCP\", \"UDP\"",
        ),
        (
            port(json!({"port": 80, "targetPort": "a_name_too_long_"})),
            "spec.ports[0].targetPort: Invalid value: \"a_name_too_long_\": must be no more than \
             15 bytes\nspec.ports[0].targetPort: Invalid value: \"a_name_too_long_\": must contain \
             only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            port(json!({"port": 80, "nodePort": 30_000})),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"ports": [{"port": 80}, {"port": 80, "name": "b"}, {"port": 81, "name": "b"}]}),
            "spec.ports[0].name: Required value\n\
             spec.ports[2].name: Duplicate value: \"b\"\n\
             spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":\
             null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
        ),
        (
            json!({"ports": [{"port": 80, "name": "Web"}]}),
            "spec.ports[0].name: Invalid value: \"Web\": a lowercase RFC 1123 label must consist \
             of lower case alphanumeric characters or '-', and must start and end with an \
             alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        (
            json!({"ports": [{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}]}),
            "",
        ),
        (
            json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort \
             services",
        ),
        (
            json!({"type": "Cluster", "ports": [{"port": 80}]}),
            "spec.type: Unsupported value: \"Cluster\": supported values: \"ClusterIP\", \
             \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
        (json!({"type": "ExternalName", "externalName": "a.b."}), ""),
        (
            json!({"type": "ExternalName", "externalName": "a", "clusterIP": "10.96.0.1"}),
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
        (
            json!({"ports": [{"port": 80}], "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86_401}}}),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be \
             greater than 0 and less than 86400",
        ),
        (
            json!({"ports": [{"port": 80}], "sessionAffinity": "IP"}),
            "spec.sessionAffinity: Unsupported value: \"IP\": supported values: \"ClientIP\", \
             \"None\"",
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "ten"}),
            "spec.clusterIPs[0]: Invalid value: \"ten\": must be a valid IP address, (e.g. \
             10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.8"]}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.8\"]: first value must match `clusterIP`",
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIPs": ["10.96.0.8"]}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.8\"]: must be empty when `clusterIP` is not \
             specified",
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.7",
                "clusterIPs": ["10.96.0.7", "10.96.0.8"]}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.7\",\"10.96.0.8\"]: may specify no more \
             than one IP for each IP family",
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.7", "ipFamilies": ["IPv6"]}),
            "spec.clusterIPs[0]: Invalid value: \"10.96.0.7\": expected an IPv6 value as indicated \
             by `ipFamilies[0]`",
        ),
        (
            json!({"ports": [{"port": 80}], "ipFamilies": ["v4", "v4"], "ipFamilyPolicy": "Dual"}),
            "spec.ipFamilies[0]: Unsupported value: \"v4\": supported values: \"IPv4\", \"IPv6\"\n\
             spec.ipFamilies[1]: Unsupported value: \"v4\": supported values: \"IPv4\", \"IPv6\"\n\
             spec.ipFamilies[1]: Duplicate value: \"v4\"\n\
             spec.ipFamilyPolicy: Unsupported value: \"Dual\": supported values: \
             \"PreferDualStack\", \"RequireDualStack\", \"SingleStack\"",
        ),
        (
            json!({"ports": [{"port": 80}], "externalIPs": ["127.0.0.1", "x"]}),
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range \
             (127.0.0.0/8, ::1/128)\n\
             spec.externalIPs[1]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 \
             or 2001:db8::ffff)",
        ),
        (
            json!({"ports": [{"port": 80}], "externalTrafficPolicy": "Local"}),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for \
             externally-accessible services",
        ),
        (
            json!({"ports": [{"port": 80}], "internalTrafficPolicy": "Near"}),
            "spec.internalTrafficPolicy: Unsupported value: \"Near\": supported values: \
             \"Cluster\", \"Local\"",
        ),
        (
            json!({"ports": [{"port": 80}], "trafficDistribution": "Near"}),
            "spec.trafficDistribution: Unsupported value: \"Near\": supported values: \
             \"PreferClose\", \"PreferSameNode\", \"PreferSameZone\"",
        ),
        (
            json!({"ports": [{"port": 80}], "healthCheckNodePort": 30_001}),
            "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is \
             'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
        (
            json!({"ports": [{"port": 80}], "loadBalancerClass": "x",
                "allocateLoadBalancerNodePorts": true, "loadBalancerSourceRanges": ["10.0.0.0"]}),
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is \
             'LoadBalancer'\n\
             spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR \
             value, (e.g. 10.9.8.0/24 or 2001:db8::/64)\n\
             spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is \
             'LoadBalancer'\n\
             spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            json!({"ports": [{"port": 80}], "selector": {"a/b/c": "x y"}}),
            "spec.selector: Invalid value: \"a/b/c\": a qualified name must consist of \
             alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and \
             '/' (e.g. 'example.com/MyName')\n\
             spec.selector: Invalid value: \"x y\": a valid label must be an empty string or \
             consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
             validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ] {
        assert_eq!(errors(spec.clone(), None), expected, "{spec}");
    }
}

/// A Service of both families that exists.
fn existing() -> Value {
    prepared(
        json!({"ports": [{"port": 80}], "clusterIP": "10.96.1.1",
            "clusterIPs": ["10.96.1.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack"}),
        None,
    )
}

#[test]
fn addresses_stay_once_they_are_set() {
    let old = existing();
    for (changes, expected) in [
        (json!({}), ""),
        (
            json!({"clusterIP": "10.96.1.2"}),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.1.2\"]: may not change once set\n\
             spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be set to \
             'SingleStack' when releasing the secondary clusterIP",
        ),
        (
            json!({"clusterIP": "10.96.1.2", "clusterIPs": ["10.96.1.2", "fd00::1"]}),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.1.2\",\"fd00::1\"]: may not change once \
             set",
        ),
        (
            json!({"clusterIPs": ["10.96.1.1", "fd00::2"]}),
            "spec.clusterIPs[1]: Invalid value: [\"10.96.1.1\",\"fd00::2\"]: may not change once \
             set",
        ),
        (json!({"clusterIP": null, "clusterIPs": null}), ""),
        (
            json!({"clusterIPs": ["10.96.1.1"], "ipFamilyPolicy": "PreferDualStack"}),
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' \
             when releasing the secondary clusterIP",
        ),
        (json!({"clusterIPs": ["10.96.1.1"], "ipFamilyPolicy": "SingleStack"}), ""),
        (
            json!({"ipFamilies": ["IPv6", "IPv4"]}),
            "spec.ipFamilies[0]: Invalid value: [\"IPv6\",\"IPv4\"]: may not change once set\n\
             spec.ipFamilies[0]: Invalid value: [\"IPv6\",\"IPv4\"]: may not change once set\n\
             spec.clusterIPs[0]: Invalid value: \"10.96.1.1\": expected an IPv6 value as indicated \
             by `ipFamilies[0]`\n\
             spec.clusterIPs[1]: Invalid value: \"fd00::1\": expected an IPv4 value as indicated by \
             `ipFamilies[1]`",
        ),
        (
            json!({"clusterIP": "None", "clusterIPs": ["None"]}),
            "spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set\n\
             spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be set to \
             'SingleStack' when releasing the secondary clusterIP",
        ),
    ] {
        let mut spec = old["spec"].clone();
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        assert_eq!(errors(spec, Some(&old)), expected, "{changes}");
    }
}

#[test]
fn a_change_of_type_drops_what_no_longer_applies() {
    let mut old = prepared(
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a/b",
            "ports": [{"port": 80, "nodePort": 30_080}], "clusterIP": "10.96.1.1",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "healthCheckNodePort": 30_090}),
        None,
    );
    old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4", "ipMode": "VIP"}]}});
    let mut spec = old["spec"].clone();
    spec["type"] = json!("ClusterIP");
    let new = prepared(spec, Some(&old));
    assert_eq!((SERVICE.validate)(&new, Some(&old)), []);
    assert_eq!(
        new["spec"],
        json!({"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster"})
    );
    assert_eq!(new["status"], old["status"]);
    let mut spec = new["spec"].clone();
    spec["type"] = json!("ExternalName");
    spec["externalName"] = json!("a.b");
    let name = prepared(spec, Some(&new));
    assert_eq!((SERVICE.validate)(&name, Some(&new)), []);
    assert_eq!(name["spec"].get("clusterIP"), None);
    assert_eq!(name["spec"].get("ipFamilies"), None);
    let mut spec = name["spec"].clone();
    spec["type"] = json!("ClusterIP");
    let back = prepared(spec, Some(&name));
    assert_eq!((SERVICE.validate)(&back, Some(&name)), []);
}

#[test]
fn node_ports_that_are_left_out_stay() {
    let old = prepared(
        json!({"type": "NodePort", "clusterIP": "10.96.1.1", "ports": [
            {"name": "a", "port": 80, "nodePort": 30_080}, {"name": "b", "port": 81, "nodePort": 30_081}]}),
        None,
    );
    let new = prepared(
        json!({"type": "NodePort", "ports": [{"name": "b", "port": 82}, {"name": "c", "port": 83}]}),
        Some(&old),
    );
    assert_eq!(new["spec"]["clusterIP"], "10.96.1.1");
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30_081);
    assert_eq!(new["spec"]["ports"][1].get("nodePort"), None);
}

#[test]
fn clients_are_warned() {
    for (spec, expected) in [
        (json!({"ports": [{"port": 80}]}), ""),
        (
            json!({"clusterIP": "None", "sessionAffinity": "ClientIP"}),
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            json!({"clusterIP": "010.96.0.9", "externalName": "a"}),
            "spec.clusterIPs[0]: non-standard IP address \"010.96.0.9\" will be considered invalid \
             in a future Kubernetes release: use \"10.96.0.9\"\n\
             spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ),
        (
            json!({"externalIPs": ["198.51.100.7"]}),
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        ),
    ] {
        let found = (SERVICE.warnings)(&prepared(spec.clone(), None), None).join("\n");
        assert_eq!(found, expected, "{spec}");
    }
}

#[test]
fn columns_are_as_people_know_them() {
    let now = "2026-01-01T00:05:30Z".parse().unwrap();
    for (spec, expected) in [
        (
            json!({"ports": [{"port": 80}], "clusterIP": "10.96.1.1", "selector": {"b": "2", "a": "1"}}),
            "web ClusterIP 10.96.1.1 <none> 80/TCP 5m30s a=1,b=2",
        ),
        (
            json!({"type": "LoadBalancer", "clusterIP": "10.96.1.1", "externalIPs": ["198.51.100.7"],
                "ports": [{"port": 80, "nodePort": 30_080}, {"port": 53, "protocol": "UDP"}]}),
            "web LoadBalancer 10.96.1.1 198.51.100.7 80:30080/TCP,53/UDP 5m30s <none>",
        ),
        (
            json!({"type": "LoadBalancer", "clusterIP": "10.96.1.1", "ports": [{"port": 80}]}),
            "web LoadBalancer 10.96.1.1 <pending> 80/TCP 5m30s <none>",
        ),
        (
            json!({"type": "ExternalName", "externalName": "a.b"}),
            "web ExternalName <none> a.b <none> 5m30s <none>",
        ),
        (json!({"clusterIP": "None"}), "web ClusterIP None <none> <none> 5m30s <none>"),
    ] {
        let mut object = prepared(spec, None);
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let cells = SERVICE.columns.iter().map(|column| (column.cell)(&object, now));
        let cells: Vec<_> = cells.map(|cell| cell.as_str().unwrap().to_owned()).collect();
        assert_eq!(cells.join(" "), expected);
    }
    let names: Vec<_> = SERVICE.columns.iter().map(|column| column.name).collect();
    assert_eq!(names, ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"]);
}

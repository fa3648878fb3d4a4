//! What commands say to programs.

use serde_json::{Value, json};

use crate::http::{Client, Server};
use crate::lab::{self, Lab};
use crate::manifest::{Family, bare_service, client, pod, service, slice};
use crate::namespace::{CLIENT, Namespace};

#[test]
fn json_for_programs() {
    let far = ["10.9.9.9".parse().expect("an address")];
    let manifest = service("web", 10, "[{name: http, port: 80, targetPort: 8080}]")
        + &bare_service("other", 20, "[{port: 53, protocol: UDP}]")
        + &slice("other", Family::V4, "UDP", 5353, far)
        + &client()
        + &pod("web-1", 11, "web");
    let Some(_lab) = Lab::with_workers("json_for_programs", &manifest, 2) else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    assert_eq!(lab::json(&["flows"]), json!([]));
    let mut client = Client::connect(CLIENT, Family::V4.service(10, 80)).expect("connect");
    client.ask().expect("an answer");

    let backend = |address: &str, port: u16, service_port: u16, protocol: &str| {
        json!({"service_port": service_port, "protocol": protocol, "address": address,
               "port": port, "state": "ready"})
    };
    let expected = json!([
        {
            "namespace": "default",
            "name": "other",
            "cluster_ips": ["10.96.0.20", "fd00:10:96::20"],
            "ports": [{"name": "", "port": 53, "protocol": "UDP", "target": "53"}],
            "backends": [backend("10.9.9.9", 5353, 53, "UDP")],
        },
        {
            "namespace": "default",
            "name": "web",
            "cluster_ips": ["10.96.0.10", "fd00:10:96::10"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "target": "8080"}],
            "backends": [
                backend("10.244.0.11", 8080, 80, "TCP"),
                backend("fd00:10:244::11", 8080, 80, "TCP"),
            ],
        },
    ]);
    let mut services = lab::json(&["services"]);
    let all = services.as_array_mut().expect("an array");
    all.retain(|service| service["name"] != "kubernetes");
    assert_eq!(services, expected);
    check_flows(&client);
    check_status();
}

fn check_flows(client: &Client) {
    let flows = lab::json(&["flows"]);
    assert_eq!(flows.as_array().expect("an array").len(), 1, "{flows}");
    let local = client.local().to_string();
    for (field, value) in [
        ("protocol", "TCP"),
        ("client", &local),
        ("service", "10.96.0.10:80"),
        ("backend", "10.244.0.11:8080"),
        ("translated", &local),
    ] {
        assert_eq!(flows[0][field], value, "{field}");
    }
    // SYN, ACK and the request; SYN-ACK and the answer.
    for (field, least) in [("packets_out", 3), ("packets_back", 2), ("bytes_out", 160)] {
        assert!(flows[0][field].as_u64().expect(field) >= least, "{field}: {flows}");
    }
    assert!(flows[0]["state"].is_string() && flows[0]["expires_in_ms"].is_u64(), "{flows}");
}

fn check_status() {
    let status = lab::json(&["status"]);
    let count = |field: &str| status[field].as_array().expect(field).len();
    assert_eq!((count("workers"), count("pods"), count("problems")), (2, 2, 0), "{status}");
    assert_eq!(status["services"], 3, "those two, and the API's own");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let workers = status["workers"].as_array().expect("an array");
    let sum = |name: &str| -> u64 {
        let count = |worker: &Value| worker["counters"][name].as_u64();
        workers.iter().map(|worker| count(worker).expect("a counter")).sum()
    };
    assert_eq!(sum("flows_opened"), 1);
    assert!(sum("forwarded") >= 5);
    for worker in workers {
        assert!(worker["core"].is_u64() && worker["flow_capacity"].is_u64(), "{worker}");
    }
    let ports = status["ports"].as_array().expect("an array");
    let queues: Vec<_> = ports.iter().map(|port| (&port["interface"], &port["queue"])).collect();
    assert_eq!(queues, [(&json!("mlg0"), &json!(0)), (&json!("mlg0"), &json!(1))]);
    assert!(status["steering"]["to_worker_service"].as_u64().expect("a counter") >= 3);
}

//! Requests that make no sense: each gets the right Status, and the server is none the worse.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::client::{Access, Answer, Client};
use crate::standalone::Standalone;

const SERVICES: &str = "/api/v1/namespaces/default/services";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// More than the process ever needs for this, and less than what somebody sends at it.
const MEMORY_KIB: u64 = 300 << 10;

/// A server, and what it takes to talk to it; checks that it is well in the end.
struct Server {
    machine: Standalone,
    access: Access,
}

impl Server {
    fn start(test: &str) -> Option<Self> {
        let machine = Standalone::start(test)?;
        let access = Access::to(&machine);
        Some(Self { machine, access })
    }

    fn ask(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut client = self.access.connect().expect("it listens");
        client.ask_as(method, path, content_type, body).expect("it answers")
    }

    /// A refusal is a Status that says so.
    fn refuses(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
        codes: &[u16],
        reason: &str,
    ) {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        let answer = self.ask(method, path, content_type, body);
        assert!(codes.contains(&answer.code), "{method} {path} {shown}: {answer:?}");
        let status = answer.json();
        assert_eq!(
            (&status["kind"], &status["apiVersion"]),
            (&json!("Status"), &json!("v1")),
            "{answer:?}"
        );
        assert_eq!(
            (&status["status"], &status["code"]),
            (&json!("Failure"), &json!(answer.code)),
            "{answer:?}"
        );
        assert_eq!(status["reason"], reason, "{method} {path} {shown}: {answer:?}");
        assert!(
            status["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{answer:?}"
        );
    }

    /// It still serves, and has not grown.
    fn check(mut self) {
        assert!(self.machine.runs(), "it ended");
        assert_eq!(self.machine.kubectl().run("get --raw /readyz"), "ok");
        let memory = self.machine.memory_kib();
        assert!(memory < MEMORY_KIB, "{memory} KiB of memory");
    }
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
}

fn with(path: &str, value: Value) -> Vec<u8> {
    let mut service = service();
    *service.pointer_mut(path).expect("a path") = value;
    service.to_string().into_bytes()
}

#[test]
fn bodies_that_are_no_objects() {
    let Some(server) = Server::start("bodies_that_are_no_objects") else { return };
    let refuses = |body: &[u8]| {
        server.refuses("POST", SERVICES, "application/json", body, &[400], "BadRequest")
    };
    for body in ["", "{", "[]", "null", "17", "\"service\"", "{\"kind\":\"Service\"", "nonsense"] {
        refuses(body.as_bytes());
    }
    refuses(&[0xff, 0xfe, 0x00, 0x80]);
    refuses(&vec![b'['; 200_000]);
    refuses("{\"a\":".repeat(100_000).as_bytes());
    refuses(&with("/apiVersion", json!("v2")));
    refuses(&with("/kind", json!("Pod")));
    refuses(&with("/spec", json!("ports")));
    refuses(&with("/spec/ports", json!({"port": 80})));
    refuses(&with("/spec/ports/0/port", json!("eighty")));
    refuses(&with("/spec/ports/0/port", json!(1e40)));
    refuses(&with("/metadata", json!({"name": "web", "namespace": "other"})));
    refuses(&with("/metadata", json!({"name": 5})));
    let invalid =
        |body: &[u8]| server.refuses("POST", SERVICES, "application/json", body, &[422], "Invalid");
    invalid(&with("/metadata", json!({"name": "a".repeat(100_000)})));
    invalid(&with("/metadata", json!({"name": "../../etc"})));
    invalid(&with("/metadata", json!({"name": "web", "labels": {"": "x"}})));
    invalid(&with(
        "/metadata",
        json!({"name": "web", "annotations": {"a": "x".repeat(300 << 10)}}),
    ));
    let many: Vec<_> = (0..200).map(|_| json!({"port": 80})).collect();
    invalid(&with("/spec/ports", json!(many)));
    invalid(b"{}"); // of the kind that the path says
    let strict = format!("{SERVICES}?fieldValidation=Strict");
    let odd = with("/spec/ports/0", json!({"port": 80, "x": 1}));
    server.refuses("POST", &strict, "application/json", &odd, &[400], "BadRequest");
    server.check();
}

#[test]
fn bodies_that_are_too_much() {
    let Some(server) = Server::start("bodies_that_are_too_much") else { return };
    let ten = "x".repeat(10 << 20);
    let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": ten}}).to_string();
    let large = large.as_bytes();
    let refuses = |method: &str, path: &str, content_type: &str| {
        server.refuses(method, path, content_type, large, &[413], "RequestEntityTooLarge");
    };
    refuses("POST", CONFIG_MAPS, "application/json");
    refuses("PUT", &format!("{CONFIG_MAPS}/a"), "application/json");
    refuses("PATCH", &format!("{CONFIG_MAPS}/a"), "application/merge-patch+json");
    refuses("DELETE", &format!("{CONFIG_MAPS}/a"), "application/json");
    // Many at once.
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                server.refuses(
                    "POST",
                    CONFIG_MAPS,
                    "application/json",
                    large,
                    &[413],
                    "RequestEntityTooLarge",
                )
            });
        }
    });
    // One that never ends is cut off.
    let mut client = server.access.connect().expect("it listens");
    client
        .send_head(
            "POST",
            CONFIG_MAPS,
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        )
        .expect("a head");
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let sent = (0..200).take_while(|_| client.send(chunk.as_bytes()).is_ok()).count();
    assert!(sent < 200, "{sent} MiB were taken");
    server.check();
}

/// A few bytes that stand for many.
#[test]
fn bodies_that_grow() {
    let Some(server) = Server::start("bodies_that_grow") else { return };
    let seed = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seed"}, "data": {"a": "x".repeat(1000)}});
    assert_eq!(
        server.ask("POST", CONFIG_MAPS, "application/json", seed.to_string().as_bytes()).code,
        201
    );
    let copies: Vec<_> = (0..10_000)
        .map(|number| json!({"op": "copy", "from": "/data", "path": format!("/data/{number}")}))
        .collect();
    let patched = server.ask(
        "PATCH",
        &format!("{CONFIG_MAPS}/seed"),
        "application/json-patch+json",
        json!(copies).to_string().as_bytes(),
    );
    assert!((400..500).contains(&patched.code), "{}", patched.code);
    let mut yaml = "a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        yaml +=
            &format!("b{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "));
    }
    let bomb = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: bomb}}\n{yaml}");
    let answer = server.ask("POST", CONFIG_MAPS, "application/yaml", bomb.as_bytes());
    assert!([400, 413, 415].contains(&answer.code), "{}", answer.code);
    server.check();
}

#[test]
fn requests_that_fit_nothing() {
    let Some(server) = Server::start("requests_that_fit_nothing") else { return };
    let service = service().to_string();
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/vnd.kubernetes.unknown"]
    {
        server.refuses(
            "POST",
            SERVICES,
            content_type,
            service.as_bytes(),
            &[415],
            "UnsupportedMediaType",
        );
    }
    for (method, path, code, reason) in [
        ("GET", "/api/v1/namespaces/default/services/nobody", 404, "NotFound"),
        ("GET", "/apis/example.org/v1/things", 404, "NotFound"),
        ("GET", "/api/v7/services", 404, "NotFound"),
        ("POST", "/api/v1/namespaces/default/services/web", 405, "MethodNotAllowed"),
        ("PUT", SERVICES, 405, "MethodNotAllowed"),
        ("GET", "/api/v1/services?labelSelector=%3D%3D%3D", 400, "BadRequest"),
        ("GET", "/api/v1/services?fieldSelector=spec.colour%3Dblue", 400, "BadRequest"),
        ("GET", "/api/v1/services?limit=many", 400, "BadRequest"),
        ("GET", "/api/v1/services?watch=1&resourceVersion=x", 400, "BadRequest"),
        ("POST", "/api/v1/namespaces/nowhere/services", 404, "NotFound"),
    ] {
        server.refuses(
            method,
            path,
            "application/json",
            if method == "GET" { b"" } else { service.as_bytes() },
            &[code],
            reason,
        );
    }
    let patch = |kind: &str, patch: &str, codes: &[u16]| {
        let path = "/api/v1/namespaces/default/services/kubernetes";
        let answer = server.ask("PATCH", path, kind, patch.as_bytes());
        assert!(codes.contains(&answer.code), "{kind} {patch}: {answer:?}");
        assert_eq!(answer.json()["kind"], "Status");
    };
    patch("application/json-patch+json", "{}", &[400]);
    patch("application/json-patch+json", r#"[{"op":"fly","path":"/spec"}]"#, &[400, 422]);
    patch("application/json-patch+json", r#"[{"op":"remove","path":"/spec/none"}]"#, &[422]);
    patch("application/merge-patch+json", "[1]", &[400]);
    patch("application/merge-patch+json", r#"{"kind":"Pod"}"#, &[422]);
    patch(
        "application/strategic-merge-patch+json",
        r#"{"spec":{"ports":{"$patch":"explode"}}}"#,
        &[400, 422, 500],
    );
    patch("application/json", "{}", &[415]);
    server.check();
}

#[test]
fn those_who_may_not_come_in() {
    let Some(server) = Server::start("those_who_may_not_come_in") else { return };
    for token in ["wrong", "", "\u{fc}", &"x".repeat(10_000)] {
        let mut client = server.access.with_token(token).connect().expect("it listens");
        let answer = client.ask("GET", "/api/v1/services", "").expect("it answers");
        assert_eq!(answer.code, 401, "{answer:?}");
        assert_eq!(answer.json()["reason"], "Unauthorized");
    }
    // Nor with a body: it is not even read.
    let mut client = server.access.with_token("wrong").connect().expect("it listens");
    assert_eq!(client.ask("POST", SERVICES, &service().to_string()).expect("it answers").code, 401);
    // Plain text on a port for TLS, TLS without HTTP, and HTTP without sense.
    let mut plain = server.access.tcp().expect("it listens");
    plain.write_all(b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is taken");
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!String::from_utf8_lossy(&heard).contains("200 OK"), "{heard:?}");
    for nonsense in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.access.connect().expect("it listens");
        client.send(nonsense).expect("it is taken");
        // Refused, or the end of the connection.
        assert!(client.answer().map_or(true, |answer| (400..500).contains(&answer.code)));
    }
    let mut client = server.access.connect().expect("it listens");
    let _ = client.send_head("GET", "/api", &format!("X-Long: {}\r\n", "x".repeat(1 << 20)));
    assert!(client.answer().map_or(true, |answer| (400..500).contains(&answer.code)));
    server.check();
}

/// What one client does wrong is not another's trouble, even on the same connection.
#[test]
fn a_connection_goes_on_after_a_refusal() {
    let Some(server) = Server::start("a_connection_goes_on_after_a_refusal") else { return };
    let mut client: Client = server.access.connect().expect("it listens");
    for _ in 0..3 {
        assert_eq!(client.ask("POST", SERVICES, "{").expect("it answers").code, 400);
        assert_eq!(
            client
                .ask("GET", "/api/v1/namespaces/default/services/kubernetes", "")
                .expect("it answers")
                .code,
            200
        );
    }
    server.check();
}

//! What clients should not do.

use hyper::header::AUTHORIZATION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::apiserver::http::limits;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn without_the_token_only_health_and_version_answer() {
    let served = Served::start();
    for (bearer, path, code) in [
        (None, "/api", 401),
        (None, MAPS, 401),
        (None, "/nothing", 401),
        (Some("Bearer"), MAPS, 401),
        (Some("Bearer wrong"), MAPS, 401),
        (Some("Basic YTpi"), MAPS, 401),
        (None, "/healthz", 200),
        (None, "/livez", 200),
        (None, "/readyz", 200),
        (None, "/version", 200),
        (None, "/version/../api", 401),
    ] {
        let mut request = Request::get(path);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let answer = served.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.code, code, "{bearer:?} {path}");
        if code == 401 {
            let unauthorized = (401, "Unauthorized".to_owned(), "Unauthorized".to_owned());
            assert_eq!(answer.status(), unauthorized);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let served = Served::start();
    let text = "the server could not find the requested resource";
    for path in ["/nothing", "/api/v1/nothings", "/apis/apps/v2", "/apis/nothing", "/api/v2"] {
        let expected = (404, "NotFound".to_owned(), text.to_owned());
        assert_eq!(served.get(path).await.status(), expected, "{path}");
    }
    let text = "configmaps \"nothing\" not found";
    let expected = (404, "NotFound".to_owned(), text.to_owned());
    assert_eq!(served.get(&format!("{MAPS}/nothing")).await.status(), expected);
    let text = "the server does not allow this method on the requested resource";
    for (method, path) in [
        ("POST", "/api/v1/namespaces/default/configmaps/a"),
        ("PUT", MAPS),
        ("PATCH", MAPS),
        ("POST", "/api/v1/configmaps"),
        ("OPTIONS", MAPS),
        ("POST", "/version"),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ] {
        let expected = (405, "MethodNotAllowed".to_owned(), text.to_owned());
        assert_eq!(
            served.request(method, path, "", "").await.status(),
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused() {
    let served = Served::start();
    let json = "application/json";
    for (method, content_type, body, code, reason) in [
        ("POST", json, "", 400, "BadRequest"),
        ("POST", json, "{\"kind\":", 400, "BadRequest"),
        ("POST", json, "[]", 400, "BadRequest"),
        ("POST", json, "{\"kind\":\"Pod\"}", 400, "BadRequest"),
        ("POST", json, "{\"apiVersion\":\"v2\",\"kind\":\"ConfigMap\"}", 400, "BadRequest"),
        ("POST", json, "{\"data\":7}", 400, "BadRequest"),
        ("POST", "text/plain", "{}", 415, "UnsupportedMediaType"),
        ("POST", "application/yaml", "a: [", 400, "BadRequest"),
        ("DELETE", json, "{\"kind\":\"Pod\"}", 400, "BadRequest"),
    ] {
        let answer = served.request(method, MAPS, content_type, body).await;
        let (found, found_reason, message) = answer.status();
        assert_eq!((found, found_reason.as_str()), (code, reason), "{method} {body}: {message}");
        assert!(!message.is_empty());
    }
    let one = format!("{MAPS}/a");
    for (content_type, body, code) in [
        ("application/json", "{}", 415),
        ("application/apply-patch+yaml", "{}", 415),
        ("application/merge-patch+json", "{", 400),
    ] {
        assert_eq!(served.request("PATCH", &one, content_type, body).await.code, code);
    }
    // Deep nesting ends in a refusal, not in the stack's end.
    let deep = "[".repeat(1_000_000);
    assert_eq!(served.request("POST", MAPS, json, deep).await.code, 400);
}

#[tokio::test]
async fn long_bodies_are_not_read() {
    let served = Served::start();
    let long = Bytes::from(vec![b' '; 10_000_000]);
    let request = served.builder("POST", MAPS).body(Full::new(long)).unwrap();
    let expected = (
        413,
        "RequestEntityTooLarge".to_owned(),
        "Request entity too large: limit is 3145728".to_owned(),
    );
    assert_eq!(served.send(request).await.status(), expected);
}

#[tokio::test]
async fn long_headers_are_refused() {
    let served = Served::start();
    let mut stream = served.tls("127.0.0.1", &[b"http/1.1"]).await.unwrap();
    let long = "x".repeat(2 * limits::HEADER_BYTES);
    let request = format!("GET /api HTTP/1.1\r\nHost: a\r\nLong: {long}\r\n\r\n");
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let served = Served::start();
    let mut stream = TcpStream::connect(served.server.addresses()[0]).await.unwrap();
    stream.write_all(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{answer}");
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let served = Served::start();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(served.server.addresses()[0]).await.unwrap());
    }
    for stream in silent.iter_mut().take(100) {
        // The beginning of a TLS record that never ends.
        stream.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    }
    assert_eq!(served.get("/version").await.code, 200);
}

#[tokio::test]
async fn connections_that_stay_silent_are_closed() {
    let served = Served::start();
    let mut silent = TcpStream::connect(served.server.addresses()[0]).await.unwrap();
    // The beginning of a TLS record that never ends.
    silent.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    let patience = limits::TLS_HANDSHAKE + std::time::Duration::from_secs(5);
    let read = tokio::time::timeout(patience, silent.read_to_end(&mut Vec::new())).await;
    assert!(read.is_ok(), "still open");
}

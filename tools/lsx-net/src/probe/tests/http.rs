//! GET against servers made by hand.

use std::io::{Read, Write};
use std::net::SocketAddr;

use serde_json::json;

use super::lab::{closed_port, http_service, service};
use super::{decoded, message};
use crate::probe::{Outcome, State, run};

fn get(server: SocketAddr, more: &serde_json::Value) -> Outcome {
    let mut object =
        json!({"probe": "http", "address": server.ip(), "port": server.port(), "timeout_ms": 20_000});
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    run(&decoded(object))
}

fn site() -> SocketAddr {
    http_service(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("none");
        match path {
            "/" => format!(
                "HTTP/1.1 200 OK\r\nServer: nginx/1.24\r\nContent-Length: {}\r\n\r\n{host}",
                host.len()
            ),
            "/old" => "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "/tls" => {
                "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            "/loop" => "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "/asked" if host == "www.internal" => {
                "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned()
            }
            _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_owned(),
        }
    })
}

#[test]
fn page_is_answered_with_status_headers_and_bytes() {
    let site = site();
    let outcome = get(site, &json!({"expect": {"status": 200, "headers": {"Server": "nginx/"}}}));
    assert_eq!((outcome.ok, outcome.state, outcome.status), (true, State::Answered, Some(200)));
    assert_eq!(outcome.headers["server"], "nginx/1.24");
    assert_eq!(outcome.bytes_read, Some(site.to_string().len() as u64));
    assert!(outcome.ms.unwrap() > 0.0 && outcome.error.is_none());
}

#[test]
fn unmet_expectations_name_both_sides() {
    let site = site();
    let outcome = get(site, &json!({"path": "/none"}));
    assert_eq!((outcome.ok, outcome.state, outcome.status), (false, State::Unexpected, Some(404)));
    assert_eq!(message(&outcome), "status 404, expected 2xx or 3xx");
    assert!(get(site, &json!({"path": "/none", "expect": {"status": ["4xx"]}})).ok);
    let outcome = get(site, &json!({"expect": {"status": [204, "5xx"]}}));
    assert_eq!(message(&outcome), "status 200, expected 204 or 5xx");
    let outcome = get(site, &json!({"expect": {"headers": {"Server": "Apache"}}}));
    assert!(message(&outcome).contains("\"nginx/1.24\", expected it to begin with \"Apache\""));
    let outcome = get(site, &json!({"expect": {"headers": {"X-Node": ""}}}));
    assert!(message(&outcome).contains("X-Node is absent"));
}

#[test]
fn redirects_are_answers_unless_followed() {
    let site = site();
    let outcome = get(site, &json!({"path": "/old"}));
    assert_eq!((outcome.ok, outcome.status), (true, Some(302)));
    assert_eq!(outcome.headers["location"], "/");
    assert_eq!(get(site, &json!({"path": "/old", "follow": true})).status, Some(200));
    let outcome = get(site, &json!({"path": "/tls", "follow": true}));
    assert!(!outcome.ok && outcome.status.is_none(), "{outcome:?}");
    let outcome = get(site, &json!({"path": "/loop", "follow": true}));
    assert_eq!((outcome.state, message(&outcome)), (State::Unexpected, "more than 5 redirects"));
}

#[test]
fn an_address_can_be_asked_for_a_name() {
    let site = site();
    assert_eq!(get(site, &json!({"path": "/asked"})).status, Some(404));
    assert_eq!(get(site, &json!({"path": "/asked", "host": "www.internal"})).status, Some(204));
}

#[test]
fn names_of_the_hosts_file_are_asked() {
    let site = site();
    let outcome = get(site, &json!({"address": "localhost"}));
    assert_eq!((outcome.status, outcome.resolved.as_deref()), (Some(200), Some("127.0.0.1")));
    assert_eq!(outcome.bytes_read, Some(format!("localhost:{}", site.port()).len() as u64));
}

#[test]
fn servers_that_do_not_answer_are_told_apart() {
    assert_eq!(get(closed_port(), &json!({})).state, State::Refused);
    let mute = service(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = get(mute, &json!({"timeout_ms": 150}));
    assert_eq!(outcome.state, State::Timeout);
    assert!((150.0..60_000.0).contains(&outcome.ms.unwrap()), "{:?}", outcome.ms);
    let ssh = service(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = get(ssh, &json!({}));
    assert_eq!((outcome.ok, outcome.state), (false, State::Unexpected));
    assert!(message(&outcome).contains("not HTTP"), "{}", message(&outcome));
    let gone = service(drop);
    assert_eq!(get(gone, &json!({})).state, State::Failed);
}

#[test]
fn drip_cannot_stretch_the_deadline() {
    let drip = service(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    });
    let outcome = get(drip, &json!({"timeout_ms": 200}));
    assert!(!outcome.ok && outcome.ms.unwrap() < 60_000.0, "{outcome:?}");
}

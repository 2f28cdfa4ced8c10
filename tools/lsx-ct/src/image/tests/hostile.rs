//! Registries that redirect, and those that limit requests.

use super::evil::*;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_registry_leads_nobody_to_files_to_this_machine_or_to_the_metadata_service() {
    let places = [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "//169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://user:word@127.0.0.1/",
        "ftp://127.0.0.1/",
        "unix:/var/run/docker.sock",
        "",
    ];
    for to in places {
        let location = format!("location: {to}\r\n");
        let also = location.clone();
        let manifest = Evil::new(move |_, _, answer| said(answer, "302 Found", &location, b""));
        refused_as(&manifest, "ct.image.redirect", "");
        assert_eq!(manifest.asked(""), 1, "{to}");
        let layer = with_layer(5, move |_, answer| said(answer, "307 Temporary Redirect", &also, b""));
        refused_as(&layer, "ct.image.redirect", "");
    }
    let circle = Evil::new(|_, path, to| said(to, "302 Found", &format!("location: {path}x\r\n"), b""));
    refused_as(&circle, "ct.image.redirect", "more than 5 redirections");
    assert_eq!(circle.asked(""), 6);
}

#[test]
fn a_place_for_tokens_gets_a_login_only_when_it_is_the_registrys_own() {
    let thief = Evil::new(|_, _, to| said(to, "200 OK", "", br#"{"token": "t"}"#));
    let other = thief.port;
    let evil = Evil::new(move |_, _, to| {
        let wants =
            format!("www-authenticate: Bearer realm=\"http://localhost:{other}/token\",service=\"r\"\r\n");
        said(to, "401 Unauthorized", &wants, b"");
    });
    let place = StoreFolder::new();
    let login = json!({"auths": {format!("127.0.0.1:{}", evil.port): {"auth": "YTpi"}}}).to_string();
    let access = Access { config: Some(place.write("logins.json", login.as_bytes())), ..Access::default() };
    let store = place.store.clone().access(access);
    let failure = store.bring(&Source::Registry(format!("127.0.0.1:{}/app:1", evil.port))).unwrap_err();
    assert_eq!(failure.code, "ct.image.realm", "{failure}");
    assert_eq!(thief.asked(""), 0, "it was not even asked");
    // A client without a login has nothing to lose.
    let store = place.store.clone().access(Access { config: None, ..Access::default() });
    let _ = store.bring(&Source::Registry(format!("127.0.0.1:{}/app:1", evil.port))).unwrap_err();
    assert_eq!((thief.asked("/token"), thief.asked("uthorization")), (1, 0));
}

#[test]
fn a_place_for_tokens_that_lies_is_not_believed() {
    let realm = |realm: String| {
        move |port: u16, path: &str, to: Answer<'_>| {
            let wants = format!(
                "www-authenticate: Bearer realm=\"{}\"\r\n",
                realm.replace("PORT", &port.to_string())
            );
            match path {
                "/token?scope=repository%3Aapp%3Apull" => endless(to),
                "/words?scope=repository%3Aapp%3Apull" => {
                    said(to, "200 OK", "", b"{\"token\": \"a\\r\\nx: y\"}")
                }
                _ => said(to, "401 Unauthorized", &wants, b""),
            }
        }
    };
    let cases = [
        ("http://127.0.0.1:PORT/token", "ct.image.limit", "more than 1048576 bytes"),
        ("http://127.0.0.1:PORT/words", "ct.image.registry", "its token cannot be read"),
        ("http://169.254.169.254/token", "ct.image.redirect", "metadata services"),
        ("file:///etc/shadow", "ct.image.redirect", "for a token"),
    ];
    for (place, code, words) in cases {
        let evil = Evil::new(realm(place.to_owned()));
        refused_as(&evil, code, words);
        assert!(evil.sent.load(Ordering::SeqCst) < 32 << 20, "{place}: it was stopped");
    }
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says_and_no_longer_than_that() {
    let (document, blobs) = image(&system().bytes(), system().bytes().len() as u64);
    let wanted = digest::of(&document);
    let times = Arc::new(AtomicU64::new(0));
    let busy = Evil::new(move |_, path, to| match times.fetch_add(1, Ordering::SeqCst) {
        0 => said(to, "429 Too Many Requests", "retry-after: 1\r\n", b""),
        2 => said(to, "503 Service Unavailable", "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b""),
        4 => said(to, "429 Too Many Requests", "", b""),
        _ if path.contains("manifests") => said(to, "200 OK", "", &document),
        _ => said(to, "200 OK", "", &blobs.iter().find(|(name, _)| path.contains(name)).unwrap().1),
    });
    let place = StoreFolder::new();
    assert_eq!(busy.pull(&place).unwrap().digest, wanted);
    assert_eq!(busy.asked(""), 6);
    for (status, kind) in
        [("429 Too Many Requests", Kind::Again), ("503 Service Unavailable", Kind::Unreachable)]
    {
        let closed = Evil::new(move |_, _, to| said(to, status, "retry-after: 3600\r\n", b"later"));
        let failure = closed.pull(&place).unwrap_err();
        assert_eq!((failure.kind, closed.asked("")), (kind, 1), "{failure}");
        assert!(failure.to_string().contains("it asks to wait 3600 s"), "{failure}");
    }
}

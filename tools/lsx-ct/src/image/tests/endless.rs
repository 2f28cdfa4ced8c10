//! Registries that send too much, too slowly, or wrong data.

use super::evil::*;
use super::*;
use std::sync::atomic::Ordering;

#[test]
fn documents_without_an_end_are_not_read_to_it() {
    let evil = Evil::new(|_, _, to| endless(to));
    refused_as(&evil, "ct.image.limit", "more than 4194304 bytes");
    assert!(
        evil.sent.load(Ordering::SeqCst) < 32 << 20,
        "what was taken fits into the buffers of both sides"
    );
    let evil = Evil::new(|_, _, to| {
        if to(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n") {
            while to(&[b'{'; 0x10000]) {}
        }
    });
    refused_as(&evil, "ct.image.limit", "docker://127.0.0.1:");
    assert!(evil.sent.load(Ordering::SeqCst) < 32 << 20);
    let headers = Evil::new(|_, _, to| {
        if to(b"HTTP/1.1 200 OK\r\n") {
            while to(b"x-more: 0123456789\r\n") {}
        }
    });
    refused_as(&headers, "ct.image.registry", "cannot be reached");
    let refusal = Evil::new(|_, _, to| {
        if to(b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n") {
            while to(b"4\r\nnono\r\n") {}
        }
    });
    refused_as(&refusal, "ct.image.registry", "HTTP 400");
}

#[test]
fn a_layer_is_no_bigger_than_its_manifest_says_and_right_to_its_last_byte() {
    let evil = with_layer(5000, |_, to| endless(to));
    refused_as(&evil, "ct.image.limit", "more than 5000 bytes");
    assert!(evil.sent.load(Ordering::SeqCst) < 32 << 20);
    let evil = with_layer(8 << 20, |_, to| said(to, "200 OK", "", &[7; 8 << 20]));
    refused_as(&evil, "ct.image.digest", "does not match its digest");
    let evil = with_layer(8 << 20, |_, to| {
        let _ = to(b"HTTP/1.1 200 OK\r\ncontent-length: 8388608\r\n\r\n") && to(&[7; 4 << 20]); // and hangs up
    });
    refused_as(&evil, "ct.image.registry", "cannot be reached");
    let more = with_layer(limits::BOUNDS.bytes + 1, |_, to| endless(to));
    refused_as(&more, "ct.image.limit", "bytes of layers");
    assert_eq!(more.asked("/blobs/"), 0, "it is refused by its manifest");
    let disk = with_layer(limits::BOUNDS.bytes - 4096, |_, to| said(to, "404 Not Found", "", b""));
    let free = nix::sys::statvfs::statvfs(&std::env::temp_dir()).unwrap();
    if free.blocks_available() * free.fragment_size() < limits::BOUNDS.bytes {
        refused_as(&disk, "host.file", "must stay free");
        assert_eq!(disk.asked(&digest::of(b"layer")), 0, "what does not fit is not asked for");
    }
}

#[test]
fn a_registry_that_sends_drop_by_drop_is_given_up() {
    let drip = |to: Answer<'_>, length: usize| {
        if to(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes()) {
            while to(b" ") {
                let pause = std::time::Duration::from_millis(50);
                common::host::wait::until(pause, pause, || false);
            }
        }
    };
    let manifest = Evil::new(move |_, _, to| drip(to, 1 << 20));
    refused_as(&manifest, "ct.image.registry", "it sends less than");
    let layer = with_layer(1 << 20, move |_, to| drip(to, 1 << 20));
    refused_as(&layer, "ct.image.registry", "it sends less than");
}

#[test]
fn documents_that_are_deep_or_too_many_are_refused() {
    let deep = |before: &str, after: &str| {
        let text = format!("{before}{}{}{after}", "[".repeat(200_000), "]".repeat(200_000));
        Evil::new(move |_, _, to| said(to, "200 OK", "", text.as_bytes()))
    };
    refused_as(&deep("", ""), "ct.image.manifest", "recursion limit");
    refused_as(&deep("{\"manifests\": ", "}"), "ct.image.manifest", "recursion limit");
    refused_as(&deep("{\"config\": ", "}"), "ct.image.manifest", "recursion limit");
    let config = format!("{{\"x\": {}{}}}", "[".repeat(9000), "]".repeat(9000));
    let layers = [(manifest::LAYER.to_owned(), digest::of(b""), 0)];
    let (name, size) = (digest::of(config.as_bytes()), config.len() as u64);
    let document = manifest::manifest((&name, size), &layers).unwrap();
    let evil = Evil::new(move |_, path, to| match path.contains("manifests") {
        true => said(to, "200 OK", "", &document),
        false => said(to, "200 OK", "", config.as_bytes()),
    });
    let place = StoreFolder::new();
    let failure = evil.pull(&place).unwrap_err();
    assert!(failure.code == "ct.image.config", "{failure}");

    let many = vec![(manifest::LAYER.to_owned(), digest::of(b"x"), 1); limits::LAYERS + 1];
    let many = manifest::manifest((&digest::of(b"c"), 1), &many).unwrap();
    let evil = Evil::new(move |_, _, to| said(to, "200 OK", "", &many));
    refused_as(&evil, "ct.image.limit", "501 layers; 500 at most");
    let big = manifest::manifest((&digest::of(b"c"), limits::DOCUMENT + 1), &[]).unwrap();
    let evil = Evil::new(move |_, _, to| said(to, "200 OK", "", &big));
    refused_as(&evil, "ct.image.limit", "is a document");
    assert_eq!(evil.asked("/blobs/"), 0);
    // An index that leads to itself.
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": manifest::INDEX, "digest": digest::of(b"i"), "size": 1,
        "platform": {"os": "linux", "architecture": manifest::architecture()}}]});
    let index = index.to_string();
    let evil = Evil::new(move |_, _, to| said(to, "200 OK", "", index.as_bytes()));
    refused_as(&evil, "ct.image.digest", "does not match its digest");
}

//! A malicious registry: a server in the test, which counts requests and sent data, since the client's own messages are not
//! sufficient.
//! of itself is not enough.

use super::*;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A server, whose requests are kept: first line and login.
pub(super) struct Evil {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies that were taken.
    pub(super) sent: Arc<AtomicU64>,
}

/// One answer: writes to the client as long as it reads.
pub(super) type Answer<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

impl Evil {
    /// Answers each request by its path; a body alone is completed to an answer.
    pub(super) fn new(answer: impl Fn(u16, &str, Answer<'_>) + Send + Sync + 'static) -> Evil {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let evil = Evil { port, asked: Arc::default(), sent: Arc::default() };
        let (asked, sent, answer) = (Arc::clone(&evil.asked), Arc::clone(&evil.sent), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, sent, answer) = (Arc::clone(&asked), Arc::clone(&sent), Arc::clone(&answer));
                std::thread::spawn(move || serve(port, stream, &asked, &sent, &*answer));
            }
        });
        evil
    }

    pub(super) fn asked(&self, word: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(word)).count()
    }

    pub(super) fn pull(&self, place: &StoreFolder) -> Result<Stored, Failure> {
        place.store.bring(&Source::Registry(format!("127.0.0.1:{}/app:1", self.port)))
    }
}

pub(super) fn serve(
    port: u16,
    mut stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    sent: &AtomicU64,
    answer: &dyn Fn(u16, &str, Answer<'_>),
) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let pass = head.iter().find(|line| line.to_lowercase().starts_with("authorization:"));
    let request = head.first().cloned().unwrap_or_default();
    asked.lock().unwrap().push(format!("{request} {}", pass.cloned().unwrap_or_default()));
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    answer(port, &path, &mut |bytes| {
        let taken = stream.write_all(bytes).is_ok();
        sent.fetch_add(if taken { bytes.len() as u64 } else { 0 }, Ordering::SeqCst);
        taken
    });
}

pub(super) fn said(to: Answer<'_>, status: &str, header: &str, body: &[u8]) {
    let head =
        format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = to(head.as_bytes()) && to(body);
}

/// A body without an end.
pub(super) fn endless(to: Answer<'_>) {
    let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    if to(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n") {
        while to(&piece) {}
    }
}

/// An image of one layer, as a registry would have it: its manifest, and its blobs by digest.
pub(super) fn image(layer: &[u8], size: u64) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let config = config(manifest::architecture(), &[digest::of(layer)]);
    let layers = [(manifest::LAYER.to_owned(), digest::of(layer), size)];
    let document = manifest::manifest((&digest::of(&config), config.len() as u64), &layers).unwrap();
    (document, vec![(digest::of(&config), config), (digest::of(layer), layer.to_vec())])
}

/// The registry of an image whose layer is answered by a function of its own.
pub(super) fn with_layer(size: u64, layer: impl Fn(u16, Answer<'_>) + Send + Sync + 'static) -> Evil {
    let (document, blobs) = image(b"layer", size);
    Evil::new(move |port, path, to| match path {
        "/v2/app/manifests/1" => said(to, "200 OK", "", &document),
        path if path.contains(&blobs[0].0) => said(to, "200 OK", "", &blobs[0].1),
        _ => layer(port, to),
    })
}

#[track_caller]
pub(super) fn refused_as(evil: &Evil, code: &str, words: &str) {
    let place = StoreFolder::new();
    let failure = evil.pull(&place).unwrap_err();
    let text = failure.to_string();
    assert!(failure.code == code && text.contains(words), "{code} {words}: {text}");
    assert!(text.contains("127.0.0.1:") || text.contains("app"), "it names who sent it: {text}");
    let blobs = place.store.all_blobs().unwrap();
    assert!(blobs.iter().all(|(_, size)| *size < 4096), "nothing big stays: {blobs:?}");
    place.tidy();
}

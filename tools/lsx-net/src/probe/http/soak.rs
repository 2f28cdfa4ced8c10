//! Thousands of server answers over a connection in memory: each gives an outcome.

use super::*;
use common::http::{Line, Timed};
use lsx_tests::{Dice, soak};
use std::io::{self, Cursor, Write};
use ureq::unversioned::transport::{ConnectionDetails, Transport};

/// A server that sends the same to every client, and reads nothing.
#[derive(Debug, Clone)]
struct Canned(Cursor<Vec<u8>>);

impl Read for Canned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Timed for Canned {
    fn read_within(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn write_within(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

impl<In: Transport> Connector<In> for Canned {
    type Out = Line<Canned>;

    fn connect(&self, details: &ConnectionDetails, _: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(Some(Line::new(self.clone(), details.config)))
    }
}

const STATUS: [&str; 12] = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 204 No Content",
    "HTTP/1.0 404 Not Found",
    "HTTP/1.1 302 Found",
    "HTTP/1.1 301 Moved",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 999 ",
    "HTTP/1.1 000 x",
    "HTTP/2 200",
    "HTTP/1.1 1e3 x",
];

const HEADERS: [&str; 22] = [
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 18446744073709551616",
    "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Connection: close",
    "Server: nginx/1.24",
    "Server: \u{1b}[2J\u{7f}",
    "X-Node: h1",
    "X-Node: \u{ff}\u{fe}",
    "Content-Type: text/html",
    "Location: /again",
    "Location: http://h2:81/x",
    "Location: https://h2/",
    "Location: //[::1]:99999/",
    "Location: \u{0}",
    "Set-Cookie: a=b; Expires=Wed, 21 Oct 2035 07:28:00 GMT",
    ": nameless",
    "Content-Encoding: gzip",
];

const BODIES: [&str; 8] = [
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;x=y\r\nhello\r\n0\r\nT: x\r\n\r\n",
    "ffffffffffffffff\r\nhello",
    "-1\r\nhello",
    "\r\n",
    "",
    "hello and more than was promised",
];

/// A head and a body that mostly match, sometimes with damaged bytes.
fn answer(dice: &mut Dice) -> Vec<u8> {
    let mut text = STATUS[dice.below(STATUS.len())].to_owned();
    for _ in 0..dice.below(5) {
        text.push_str("\r\n");
        text.push_str(HEADERS[dice.below(HEADERS.len())]);
    }
    if dice.below(200) == 0 {
        (0..dice.below(300))
            .for_each(|n| text.push_str(&format!("\r\nX-{n}: {}", "v".repeat(dice.below(400)))));
    }
    text.push_str("\r\n\r\n");
    text.push_str(BODIES[dice.below(BODIES.len())]);
    if dice.below(4) == 0 { dice.broken(&text).into_bytes() } else { text.into_bytes() }
}

#[test]
fn soak_net_http() {
    let targets: Vec<(Target, Http)> = [false, true]
        .map(|follow| {
            let http = Http { follow, ..Http::new(80, "/") };
            let mut target = Target::new(crate::probe::Probe::Http(http.clone()), "h1");
            target.expect.headers.insert("X-Node".to_owned(), "h".to_owned());
            (target, http)
        })
        .into();
    let names = Names::from_text("198.18.0.11 h1\n198.18.0.12 h2\n");
    let place = names.resolve("h1").unwrap();
    soak("net-http", 5_000, 25, answer, |input| {
        let (target, http) = &targets[input.len() % 2];
        let lookup = Lookup { host: target.address.clone(), place, names: names.clone() };
        let outcome = ask(target, http, lookup, Canned(Cursor::new(input.to_vec())));
        assert!(outcome.ok || outcome.error.is_some(), "{outcome:?}");
        assert!(
            outcome.bytes_read.is_none_or(|bytes| bytes <= input.len().min(BODY_BYTES) as u64),
            "{outcome:?}"
        );
        assert!(!serde_json::to_string(&outcome).unwrap().is_empty());
        outcome.status.is_some()
    });
}

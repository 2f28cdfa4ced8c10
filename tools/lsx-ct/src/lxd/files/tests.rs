//! The server's file helper, which starts and ends: by its messages, and by the client with a fake server.

use super::*;
use crate::driver;
use crate::lxd::Supply;
use crate::lxd::client::Client;
use crate::model::{Condition, Instance};
use oci_spec::image::ImageConfiguration;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

/// A server without requests.
struct Nothing;

impl Supply for Nothing {
    fn tarball(&self, _: &str, _: &Path) -> Result<(), Failure> {
        Ok(())
    }

    fn config(&self, _: &str) -> Result<ImageConfiguration, Failure> {
        Ok(ImageConfiguration::default())
    }

    fn blob(&self, _: &str) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }

    fn condition(&self, _: &str, _: &str) -> Result<Condition, Failure> {
        Ok(Condition::default())
    }

    fn attend(&self, _: &dyn driver::Driver, _: &str, _: &Instance) -> Result<(), Failure> {
        Ok(())
    }
}

/// Answers one request after the other; returns the requests with their bodies.
fn server(socket: &Path, answers: Vec<(u16, String)>) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            lines.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                length = line.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                if line.is_empty() {
                    break;
                }
            }
            let mut sent = vec![0; length];
            lines.read_exact(&mut sent).unwrap();
            let request = first.trim_end().trim_end_matches(" HTTP/1.1");
            asked.push(format!("{request} {}", String::from_utf8(sent).unwrap()).trim_end().to_owned());
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
        asked
    })
}

#[test]
fn a_file_is_put_once_the_helper_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("unix.socket");
    let error =
        |code: u16, why: &str| (code, format!(r#"{{"type":"error","error_code":{code},"error":"{why}"}}"#));
    let helper = || error(500, "read unix @->/var/lib/lxd/forkfile.sock: read: connection reset by peer");
    let done = || (200, r#"{"type":"sync","metadata":{}}"#.to_owned());
    let answers = vec![helper(), error(404, "Not Found"), helper(), helper(), done()];
    let server = server(&socket, answers);
    let lxd = Lxd {
        client: Client::new(&socket, Driver::Lxd),
        supply: Box::new(Nothing),
        environment: Value::Null,
    };
    lxd.put("s-a", &Put::public("/etc/x", b"text")).unwrap();
    let (take, put) = (
        "DELETE /1.0/instances/s-a/files?path=%2Fetc%2Fx",
        "POST /1.0/instances/s-a/files?path=%2Fetc%2Fx text",
    );
    assert_eq!(server.join().unwrap(), [take, take, put, put, put]);
}

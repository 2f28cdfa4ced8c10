//! HTTPS against `openssl s_server` on loopback, with an authority made for the test.
#![expect(
    clippy::disallowed_methods,
    reason = "a test makes its files the short way, and compares dates with today"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::lab::{closed_port, http_service, service};
use super::{decoded, message};
use crate::probe::{Outcome, State, run};

/// Authorities, and certificates signed by the first, in a folder of its own.
struct Office(tempfile::TempDir);

/// A server with TLS; ends with its test.
struct Server(Child, SocketAddr);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CONFIG: &str = "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
    policy=any\ncopy_extensions=copy\nunique_subject=no\nrand_serial=yes\n[any]\ncommonName=supplied\n";
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl Office {
    fn open() -> Self {
        let office = Self(tempfile::tempdir().unwrap());
        std::fs::write(office.0.path().join("conf"), CONFIG).unwrap();
        std::fs::write(office.0.path().join("index"), "").unwrap();
        for name in ["ca", "other"] {
            office.openssl(&format!(
                "req -x509 {KEY} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 30"
            ));
        }
        office
    }

    fn openssl(&self, words: &str) -> String {
        let mut openssl = program();
        let done = openssl.current_dir(self.0.path()).args(words.split(' ')).output().unwrap();
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// A certificate for names, such as `DNS:web.internal`, from one date to another.
    fn certificate(&self, name: &str, names: &str, from: &str, until: &str) {
        let san = if names.is_empty() {
            " -addext keyUsage=digitalSignature".to_owned()
        } else {
            format!(" -addext subjectAltName={names}")
        };
        self.openssl(&format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}{san}"));
        self.openssl(&format!(
            "ca -batch -notext -config conf -cert ca.pem -keyfile ca.key -startdate {from} -enddate {until} -in {name}.csr -out {name}.pem"
        ));
    }

    fn serve(&self, name: &str, more: &str) -> Server {
        let words = format!("s_server -accept 127.0.0.1:0 -cert {name}.pem -key {name}.key -www {more}");
        let mut child = program()
            .current_dir(self.0.path())
            .args(words.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let place = lines.map(Result::unwrap).find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()));
        Server(child, place.unwrap().parse().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn get(&self, server: SocketAddr, more: &serde_json::Value) -> Outcome {
        let mut object = json!({
            "probe": "http", "tls": true, "address": server.ip(), "port": server.port(), "timeout_ms": 30_000,
            "ca": self.path("ca.pem"), "server_name": "web.internal",
        });
        more.as_object().unwrap().iter().for_each(|(key, value)| object[key] = value.clone());
        run(&decoded(object))
    }
}

#[expect(clippy::disallowed_methods, reason = "a test sets the stage with openssl")]
fn program() -> Command {
    Command::new("openssl")
}

const LONG: [&str; 2] = ["20200101000000Z", "20491231235959Z"];

/// The seconds since 1970 that `date` reads in the end of a certificate as openssl tells it.
fn end(office: &Office, name: &str) -> i64 {
    let said = office.openssl(&format!("x509 -in {name}.pem -noout -enddate"));
    let said = said.trim().strip_prefix("notAfter=").unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test asks another program for the time")]
    let done = Command::new("date").args(["-d", said, "+%s"]).output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().parse().unwrap()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn good_certificate_is_answered_and_its_days_are_counted() {
    let office = Office::open();
    office.certificate("web", "DNS:web.internal,DNS:*.shop.internal,IP:127.0.0.1", LONG[0], LONG[1]);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = office.serve("web", version);
        let early = (end(&office, "web") - now()).div_euclid(86_400);
        let outcome = office.get(server.1, &json!({}));
        assert_eq!(
            (outcome.ok, outcome.state, outcome.status),
            (true, State::Answered, Some(200)),
            "{outcome:?}"
        );
        let late = (end(&office, "web") - now()).div_euclid(86_400);
        assert!((late..=early).contains(&outcome.days_left.unwrap()), "{outcome:?}");
        assert_eq!(outcome.not_after.as_deref(), Some("2049-12-31T23:59:59Z"));
        let address = json!({"server_name": null});
        assert!(office.get(server.1, &address).ok, "the address is a name of the certificate");
        assert!(office.get(server.1, &json!({"server_name": "a.shop.internal"})).ok);
        let text = std::fs::read_to_string(office.path("ca.pem")).unwrap();
        assert!(office.get(server.1, &json!({"ca": text})).ok, "the text of a file is as good");
    }
}

#[test]
fn names_that_a_certificate_does_not_have_are_wrong() {
    let office = Office::open();
    office.certificate("web", "DNS:web.internal,DNS:*.shop.internal,IP:198.18.0.9", LONG[0], LONG[1]);
    office.certificate("bare", "", LONG[0], LONG[1]);
    let server = office.serve("web", "");
    for name in ["web", "x.web.internal", "shop.internal", "a.b.shop.internal", "127.0.0.1"] {
        let outcome = office.get(server.1, &json!({"server_name": name}));
        assert_eq!((outcome.ok, outcome.state), (false, State::WrongName), "{name}: {outcome:?}");
        let has = format!("is not for {name}: it has web.internal, *.shop.internal, 198.18.0.9");
        assert!(message(&outcome).ends_with(&has), "{}", message(&outcome));
        assert!(outcome.days_left.is_some() && outcome.status.is_none());
    }
    let server = office.serve("bare", "");
    let outcome = office.get(server.1, &json!({"server_name": "bare"}));
    assert_eq!(outcome.state, State::WrongName, "the common name is no name (RFC 9525): {outcome:?}");
    assert!(message(&outcome).ends_with("it has no name"), "{}", message(&outcome));
}

#[test]
fn certificates_out_of_their_time_are_refused() {
    let office = Office::open();
    office.certificate("old", "DNS:web.internal", "20200101000000Z", "20210228120000Z");
    office.certificate("young", "DNS:web.internal", "20480101000000Z", "20490101000000Z");
    let outcome = office.get(office.serve("old", "").1, &json!({}));
    assert_eq!((outcome.ok, outcome.state), (false, State::Expired), "{outcome:?}");
    assert!(message(&outcome).ends_with("expired at 2021-02-28T12:00:00Z"), "{}", message(&outcome));
    assert!(
        outcome.days_left.unwrap() < -2000 && outcome.not_after.as_deref() == Some("2021-02-28T12:00:00Z")
    );
    let outcome = office.get(office.serve("young", "").1, &json!({}));
    assert_eq!((outcome.ok, outcome.state), (false, State::NotYetValid), "{outcome:?}");
    assert!(message(&outcome).ends_with("not valid before 2048-01-01T00:00:00Z"), "{}", message(&outcome));
}

#[test]
fn only_named_authorities_are_trusted() {
    let office = Office::open();
    office.certificate("web", "DNS:web.internal", LONG[0], LONG[1]);
    let server = office.serve("web", "");
    let outcome = office.get(server.1, &json!({"ca": office.path("other.pem")}));
    assert_eq!((outcome.ok, outcome.state), (false, State::UnknownCa), "{outcome:?}");
    assert!(message(&outcome).contains("other.pem"), "{}", message(&outcome));
    let both = office.path("both.pem");
    let texts = ["other.pem", "ca.pem"].map(|name| std::fs::read_to_string(office.path(name)).unwrap());
    std::fs::write(&both, texts.concat()).unwrap();
    assert!(office.get(server.1, &json!({"ca": both})).ok);
    if Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        let outcome = office.get(server.1, &json!({"ca": null}));
        assert_eq!(outcome.state, State::UnknownCa);
        assert!(message(&outcome).contains("/etc/ssl/certs/"), "{}", message(&outcome));
    }
    let outcome = office.get(server.1, &json!({"ca": office.path("none.pem")}));
    assert_eq!(outcome.state, State::Failed);
    assert!(message(&outcome).contains("cannot read"), "{}", message(&outcome));
    let outcome = office.get(server.1, &json!({"ca": office.path("web.key")}));
    assert!(message(&outcome).contains("contains no certificate"), "{}", message(&outcome));
}

#[test]
fn certificate_that_signs_itself_is_trusted_when_it_is_named() {
    let office = Office::open();
    for (name, kind) in [("own", "TRUE"), ("leaf", "FALSE")] {
        office.openssl(&format!(
            "req -x509 {KEY} -keyout {name}.key -out {name}.pem -subj /CN=x -days 3 -addext subjectAltName=DNS:web.internal -addext basicConstraints=CA:{kind}"
        ));
        let server = office.serve(name, "");
        let named = json!({"ca": office.path(&format!("{name}.pem"))});
        let outcome = office.get(server.1, &named);
        assert!(outcome.ok && matches!(outcome.days_left, Some(2 | 3)), "{outcome:?}");
        let mut other = named.clone();
        other["server_name"] = json!("other.internal");
        assert_eq!(office.get(server.1, &other).state, State::WrongName);
        assert!(!office.get(server.1, &json!({})).ok);
    }
}

#[test]
fn servers_without_tls_are_told_apart() {
    let office = Office::open();
    let state = |server: SocketAddr, ms: u64| office.get(server, &json!({"timeout_ms": ms}));
    assert_eq!(state(closed_port(), 30_000).state, State::Refused);
    let ssh = service(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = state(ssh, 30_000);
    assert_eq!((outcome.ok, outcome.state), (false, State::NotTls), "{outcome:?}");
    assert!(message(&outcome).contains("SSH-2.0"), "{}", message(&outcome));
    let mute = service(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = state(mute, 1500);
    assert_eq!(outcome.state, State::Timeout, "{outcome:?}");
    assert!(message(&outcome).contains("no TLS handshake"), "{}", message(&outcome));
    let gone = service(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
    });
    assert_eq!(state(gone, 30_000).state, State::HandshakeFailed);
    let drip = service(|mut stream| {
        let _ = stream.write_all(&[22, 3, 3, 0x40, 0]);
        while stream.write_all(&[2]).is_ok() {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    });
    assert!(!state(drip, 300).ok, "a server that sends byte by byte does not stretch the time");
}

#[test]
fn status_and_redirects_count_as_without_tls() {
    let office = Office::open();
    office.certificate("web", "DNS:web.internal,IP:127.0.0.1", LONG[0], LONG[1]);
    let server = office.serve("web", "");
    let outcome = office.get(server.1, &json!({"expect": {"status": [404]}}));
    assert_eq!((outcome.ok, outcome.state, outcome.status), (false, State::Unexpected, Some(200)));
    let to = server.1;
    let plain = http_service(move |_| {
        format!("HTTP/1.1 302 Found\r\nLocation: https://{to}/\r\nContent-Length: 0\r\n\r\n")
    });
    assert!(office.get(server.1, &json!({"follow": true})).ok);
    // The authorities of a probe without TLS are those of this host, which do not know this one.
    let target = json!({"probe": "http", "address": plain.ip(), "port": plain.port(), "follow": true});
    assert_eq!(run(&decoded(target)).state, State::UnknownCa);
}

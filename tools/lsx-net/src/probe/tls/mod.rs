//! TLS of a probe (RFC 8446, RFC 5246) by rustls: the handshake, and why it failed.

mod dates;
mod trust;
mod wire;

use common::log;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, StreamOwned};

pub(super) use trust::SeenDates;
use trust::Trust;
pub(super) use wire::{Bounded, Wire};

use super::outcome::{Outcome, State};
use super::problem::Problem;

/// A certificate with fewer days left gives a warning.
pub const DAYS_LEFT: i64 = 14;
/// First bytes of a record of TLS: change of cipher, alert, handshake, data.
const RECORDS: std::ops::RangeInclusive<u8> = 20..=23;

/// Which certificates are good, for all connections of one probe.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// Where the authorities are from.
    from: String,
}

impl Tls {
    /// Trusts the authorities of `ca`, a file or its text, else those of this host.
    pub(super) fn new(ca: Option<&str>, seen: &SeenDates) -> Result<Self, Problem> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::of(ca)?;
        let from = trust.from.clone();
        let checker = trust.checker(provider.clone(), seen.clone())?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::new(format!("TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(checker))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), from })
    }

    /// The handshake on a connection that is open; the certificate must have this name or address.
    pub(super) fn secure(
        &self,
        socket: TcpStream,
        to: SocketAddr,
        name: &str,
        (began, timeout): (Instant, Duration),
    ) -> Result<Wire, (State, Problem)> {
        let wanted = ServerName::try_from(name.to_owned())
            .map_err(|_| (State::Failed, Problem::new(format!("{name:?} is not a name of a server"))))?;
        let mut bounded = Bounded::new(socket, began + timeout);
        let failed = |error: &Error| (State::HandshakeFailed, Problem::new(format!("TLS: {error}")));
        let mut session = ClientConnection::new(self.config.clone(), wanted).map_err(|e| failed(&e))?;
        while session.is_handshaking() {
            match session.complete_io(&mut bounded) {
                Ok((0, 0)) if session.is_handshaking() => {
                    return Err(self.why(&ErrorKind::UnexpectedEof.into(), &bounded.first, to, timeout));
                }
                Ok(_) => {}
                Err(error) => return Err(self.why(&error, &bounded.first, to, timeout)),
            }
        }
        Ok(Wire::Tls(Box::new(StreamOwned::new(session, bounded))))
    }

    fn why(&self, error: &io::Error, first: &[u8], to: SocketAddr, timeout: Duration) -> (State, Problem) {
        if first.first().is_some_and(|byte| !RECORDS.contains(byte)) {
            let start = String::from_utf8_lossy(first).into_owned();
            let message = format!("{to} does not speak TLS: it answers {start:?}");
            return (State::NotTls, Problem::new(message).hint("probe it with http:// or banner:"));
        }
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            let message =
                format!("{to} accepts connections, but no TLS handshake in {} ms", timeout.as_millis());
            return (State::Timeout, Problem::new(message));
        }
        match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(why)) => self.certificate(why),
            Some(Error::AlertReceived(alert)) => {
                let message = format!("{to} refuses the TLS handshake with the alert {alert:?}");
                (State::HandshakeFailed, Problem::new(message))
            }
            Some(error) => (State::HandshakeFailed, Problem::new(format!("TLS with {to}: {error}"))),
            None if error.kind() == ErrorKind::UnexpectedEof
                || error.kind() == ErrorKind::ConnectionReset =>
            {
                let message = format!("{to} closes the connection during the TLS handshake");
                let hint = "it may not speak TLS: probe it with http:// or banner:";
                (State::HandshakeFailed, Problem::new(message).hint(hint))
            }
            None => (State::HandshakeFailed, Problem::new(format!("TLS with {to}: {error}"))),
        }
    }

    fn certificate(&self, why: &CertificateError) -> (State, Problem) {
        let at = |time: &UnixTime| shown(time.as_secs());
        match why {
            CertificateError::UnknownIssuer => (
                State::UnknownCa,
                Problem::new(format!("the server's certificate is not issued by an authority in {}", self.from)).hint(
                    "name its authority with --ca or `ca`; a server must also send its intermediate certificates",
                ),
            ),
            CertificateError::ExpiredContext { not_after, .. } => {
                (State::Expired, Problem::new(format!("a certificate of the server has expired at {}", at(not_after))))
            }
            CertificateError::Expired => {
                (State::Expired, Problem::new("the certificate of the server has expired"))
            }
            CertificateError::NotValidYetContext { not_before, .. } => (
                State::NotYetValid,
                Problem::new(format!("a certificate of the server is not valid before {}", at(not_before)))
                    .hint("compare the clocks of both machines"),
            ),
            CertificateError::NotValidYet => {
                (State::NotYetValid, Problem::new("the certificate of the server is not valid yet"))
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                (State::WrongName, wrong_name(&expected.to_str(), presented))
            }
            CertificateError::NotValidForName => {
                (State::WrongName, Problem::new("the certificate of the server is for another name"))
            }
            other => {
                let problem = Problem::new(format!("the certificate of the server is not valid: {other}"));
                let old = other.to_string().contains("UnsupportedCertVersion");
                let hint = "it is of X.509 version 1, which has no names: issue it with subjectAltName";
                (State::BadCertificate, if old { problem.hint(hint) } else { problem })
            }
        }
    }
}

/// The names of a certificate, as webpki gives them: `DnsName("a.internal")`, `IpAddress(10.0.0.1)`.
fn wrong_name(expected: &str, presented: &[String]) -> Problem {
    const SHOWN: usize = 10;
    let bare = |name: &String| {
        let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inside.trim_matches('"').to_owned()
    };
    let names: Vec<String> = presented.iter().take(SHOWN).map(bare).collect();
    let more = presented.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let has = if names.is_empty() { "no name".to_owned() } else { format!("{}{more}", names.join(", ")) };
    Problem::new(format!("the certificate of the server is not for {expected}: it has {has}"))
        .hint("`server_name` or --server-name is the name that it must have")
}

fn shown(seconds: u64) -> String {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds < 253_402_300_800).map_or_else(
        || "a time after the year 9999".to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

/// Whether a certificate can be for this: a host name or an address, without a port.
pub(super) fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// Adds the dates of the server's certificate, if it has shown one.
pub(super) fn date(outcome: &mut Outcome, seen: &SeenDates) {
    let Some(last) = seen.last() else { return };
    let now = log::clock().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    outcome.not_after = Some(last.to_string());
    outcome.days_left = Some(last.days_from(i64::try_from(now).unwrap_or(i64::MAX)));
}

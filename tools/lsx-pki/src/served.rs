//! What balancers of this host serve: the certificate that is seen on the socket, compared with the one on disk.

use crate::chain::{self, ders};
use crate::model::Use;
use crate::places;
use crate::read::{self, Read};
use crate::seen::{self, now};
use common::Failure;
use common::host::wait;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one handshake may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a balancer may take to serve a new certificate: it looks each second, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// What a host is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) stack: String,
    pub(crate) sockets: Vec<Socket>,
    /// Wait until they serve what is on disk.
    pub(crate) wait: bool,
}

/// A port with TLS of a balancer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Socket {
    pub(crate) balancer: String,
    pub(crate) at: SocketAddrV4,
    /// The certificate.
    pub(crate) certificate: String,
    /// The name to ask for, if it has any.
    pub(crate) name: String,
}

/// What was seen there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// What is wrong; none if it is the certificate on disk, in its time, and leads to the root.
    pub(crate) wrong: Option<Wrong>,
    /// Of the certificate on the socket, if one was seen.
    #[serde(default)]
    pub(crate) serial: String,
    #[serde(default)]
    pub(crate) not_after: String,
    #[serde(default)]
    pub(crate) days_left: u64,
}

/// What is wrong with a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wrong {
    /// Nothing can be compared: no certificate on disk.
    Disk(String),
    /// Nothing listens there.
    Closed(String),
    /// No handshake.
    Handshake(String),
    /// Another one than on disk.
    Other(String),
    /// It is the one on disk, but clients refuse it.
    Invalid(String),
}

/// Looks at all sockets.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn look(order: &Order) -> Result<Vec<Seen>, Failure> {
    common::host::root()?;
    let end = Instant::now() + PATIENCE;
    let one = |socket: &Socket| {
        let mut last = seen(&order.stack, socket);
        let left = if order.wait { end.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
        let good = |seen: &Seen| seen.wrong.is_none();
        if !good(&last) && !left.is_zero() {
            wait::until(left, PAUSE, || {
                last = seen(&order.stack, socket);
                good(&last)
            });
        }
        last
    };
    Ok(order.sockets.iter().map(one).collect())
}

fn seen(stack: &str, socket: &Socket) -> Seen {
    let mut all = Seen { wrong: None, serial: String::new(), not_after: String::new(), days_left: 0 };
    let folder = places::certificate(stack, &socket.certificate);
    let disk = match seen::certificates(&folder.join(places::FULL)) {
        Ok(disk) => disk,
        Err((_, why)) => return Seen { wrong: Some(Wrong::Disk(why)), ..all },
    };
    let shown = match shown(socket) {
        Ok(shown) => shown,
        Err(wrong) => return Seen { wrong: Some(wrong), ..all },
    };
    if let Some(leaf) = shown.first() {
        all.serial.clone_from(&leaf.serial);
        all.not_after = common::log::at(leaf.not_after);
        all.days_left = leaf.not_after.saturating_sub(now()) / 86_400;
    }
    all.wrong = compared(stack, socket, &shown, &disk).err();
    all
}

/// Whether what is shown is what is on disk, and clients that trust the root accept it.
fn compared(stack: &str, socket: &Socket, shown: &[Read], disk: &[Read]) -> Result<(), Wrong> {
    let other = |why: String| Wrong::Other(why);
    let ([leaf, between @ ..], Some(wanted)) = (shown, disk.first()) else {
        return Err(other("it shows no certificate".to_owned()));
    };
    if leaf.der != wanted.der {
        let who = if leaf.subject.is_empty() { "another name" } else { &leaf.subject };
        let to = common::log::at(leaf.not_after);
        return Err(other(format!(
            "it shows another certificate than the one on disk: for {who}, until {to}"
        )));
    }
    let root = seen::certificates(&places::root(stack)).map_err(|(_, why)| Wrong::Disk(why))?;
    let Some(root) = root.first() else { return Ok(()) };
    chain::leads(&leaf.der, &ders(between), &root.der, &[Use::Server], now()).map_err(Wrong::Invalid)?;
    let asked = if socket.name.is_empty() { socket.at.ip().to_string() } else { socket.name.clone() };
    if !chain::is_for(&leaf.der, &asked) {
        return Err(Wrong::Invalid(format!("it is not for {asked}")));
    }
    Ok(())
}

/// The certificates that a server shows.
fn shown(socket: &Socket) -> Result<Vec<Read>, Wrong> {
    let to = socket.at;
    let stream = TcpStream::connect_timeout(&to.into(), TIMEOUT)
        .map_err(|e| Wrong::Closed(format!("{to} cannot be reached: {e}")))?;
    let failed = |why: String| Wrong::Handshake(format!("no TLS with {to}: {why}"));
    let caught = Arc::new(Caught::default());
    let wanted = if socket.name.is_empty() { to.ip().to_string() } else { socket.name.clone() };
    let wanted = ServerName::try_from(wanted).map_err(|e| failed(e.to_string()))?;
    let mut session = client(&caught)
        .and_then(|config| ClientConnection::new(config, wanted))
        .map_err(|e| failed(e.to_string()))?;
    let mut bounded = Bounded { stream, end: Instant::now() + TIMEOUT };
    while session.is_handshaking() {
        match session.complete_io(&mut bounded) {
            Ok((0, 0)) => return Err(failed("the connection was closed".to_owned())),
            Ok(_) => {}
            Err(e) => return Err(failed(e.to_string())),
        }
    }
    let ders = caught.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ders.into_iter().map(|der| read::certificate(der).map_err(failed)).collect()
}

fn client(caught: &Arc<Caught>) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(caught) as _;
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates of a handshake, whatever they are; that the server has their key is proved.
#[derive(Debug, Default)]
struct Caught(Mutex<Vec<CertificateDer<'static>>>);

impl ServerCertVerifier for Caught {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(leaf).chain(between).map(|der| der.clone().into_owned());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A connection of which everything ends at one time.
struct Bounded {
    stream: TcpStream,
    end: Instant,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl io::Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

//! Asks other servers. Each question has a port and a number of its own, and only the server that was asked can answer it
//! (RFC 5452). A server that did not answer is asked last for a while.

use super::quick::DATAGRAM;
use super::said::{Key, Said};
use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::{Message, MessageBuilder};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The port of DNS (RFC 1035 4.2), and the time for one server to answer.
const PORT: u16 = 53;
const SERVER: Duration = Duration::from_millis(1500);
/// How long a server that did not answer is asked after all others.
const LAST: Duration = Duration::from_secs(30);
/// How often a server is asked that does not answer.
const ROUNDS: usize = 3;

/// The servers, and what is known of them.
pub(super) struct Upstream {
    pub(super) port: u16,
    pub(super) patience: Duration,
    silent: Mutex<HashMap<Ipv4Addr, Instant>>,
}

impl Default for Upstream {
    fn default() -> Self {
        Upstream { port: PORT, patience: SERVER, silent: Mutex::default() }
    }
}

impl Upstream {
    /// The answer of the first server that has one.
    pub(super) async fn ask(&self, key: &Key, servers: &[Ipv4Addr]) -> Option<Said> {
        let mut servers = servers.to_vec();
        servers.sort_by_key(|server| self.silent(*server)); // Otherwise the order is that of the document.
        for _ in 0..ROUNDS {
            let mut silent = Vec::new();
            for server in servers {
                let got = timeout(self.patience, self.one(server, key)).await;
                let answered = matches!(got, Ok(Ok(_)));
                self.note(server, answered);
                if let Ok(Ok(theirs)) = got
                    && let Some(said) = Said::read(&theirs, key)
                {
                    return Some(said);
                }
                if !answered {
                    silent.push(server);
                }
            }
            servers = silent;
        }
        None
    }

    /// Asks one server; again without EDNS if it does not know that (RFC 6891 7).
    async fn one(&self, server: Ipv4Addr, key: &Key) -> io::Result<Message<Vec<u8>>> {
        let server = SocketAddrV4::new(server, self.port);
        let theirs = one(server, key, true).await?;
        let knows = theirs.opt().is_some() || theirs.header().rcode() != Rcode::FORMERR;
        if knows { Ok(theirs) } else { one(server, key, false).await }
    }

    fn silent(&self, server: Ipv4Addr) -> bool {
        let all = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&server).is_some_and(|since| since.elapsed() < LAST)
    }

    fn note(&self, server: Ipv4Addr, answered: bool) {
        let mut all = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            true => _ = all.remove(&server),
            false => _ = all.insert(server, Instant::now()),
        }
    }
}

/// Asks one server, by TCP if its answer does not fit into a datagram.
async fn one(server: SocketAddrV4, key: &Key, edns: bool) -> io::Result<Message<Vec<u8>>> {
    let query = query(key, edns).ok_or(io::ErrorKind::InvalidInput)?;
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(query.as_slice()).await?;
    let mut bytes = vec![0; usize::from(DATAGRAM)];
    let theirs = loop {
        let length = socket.recv(&mut bytes).await?;
        if let Some(theirs) = answers(&query, bytes[..length].to_vec()) {
            break theirs;
        }
    };
    if !theirs.header().tc() {
        return Ok(theirs);
    }
    let mut stream = tokio::net::TcpStream::connect(server).await?;
    let length = u16::try_from(query.as_slice().len()).unwrap_or_default().to_be_bytes();
    stream.write_all(&[&length, query.as_slice()].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).await?;
    answers(&query, bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The message, if it is a reply to the query: the number and the question are the same.
pub(super) fn answers(query: &Message<Vec<u8>>, bytes: Vec<u8>) -> Option<Message<Vec<u8>>> {
    Message::from_octets(bytes).ok().filter(|theirs| theirs.is_answer(query))
}

pub(super) fn query(key: &Key, edns: bool) -> Option<Message<Vec<u8>>> {
    let mut number = [0; 2];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut number, flags).ok()?;
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(u16::from_ne_bytes(number));
    header.set_opcode(Opcode::QUERY);
    header.set_rd(true);
    header.set_cd(key.unchecked);
    let mut question = builder.question();
    question.push((&key.name, key.kind, Class::IN)).ok()?;
    let mut additional = question.additional();
    if !edns {
        return Some(additional.into_message());
    }
    let opt = additional.opt(|opt| {
        opt.set_udp_payload_size(DATAGRAM);
        opt.set_dnssec_ok(key.secure);
        Ok(())
    });
    opt.ok()?;
    Some(additional.into_message())
}

//! Asks other servers for names of others. Each question has a port and a number of its own, and only the server that was
//! asked can answer it (RFC 5452).

use super::reply::{Ask, DATAGRAM, Question};
use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::{Message, MessageBuilder};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The time for one server to answer.
const SERVER: Duration = Duration::from_millis(1500);
/// The time for all: clients ask again after five seconds (resolv.conf(5)).
const ALL: Duration = Duration::from_millis(4500);
/// The number of questions under way.
const QUESTIONS: usize = 1000;

pub(super) struct Forwarder {
    places: Semaphore,
}

impl Default for Forwarder {
    fn default() -> Self {
        Forwarder { places: Semaphore::new(QUESTIONS) }
    }
}

impl Forwarder {
    /// The reply to a question; SERVFAIL if no server answers.
    pub(super) async fn ask(&self, question: &Question, ask: Ask) -> Vec<u8> {
        let Ok(_place) = self.places.try_acquire() else { return question.failed() };
        let rounds = || ask.servers.iter().chain(&ask.servers).chain(&ask.servers);
        let each = async {
            for server in rounds() {
                if let Ok(Ok(theirs)) = timeout(SERVER, one(*server, question.kind, &ask)).await
                    && let Some(reply) = question.relay(&ask.before, &theirs)
                {
                    return Some(reply);
                }
            }
            None
        };
        timeout(ALL, each).await.ok().flatten().unwrap_or_else(|| question.failed())
    }
}

/// Asks one server, by TCP if its answer does not fit into a datagram.
async fn one(server: Ipv4Addr, kind: Rtype, ask: &Ask) -> io::Result<Message<Vec<u8>>> {
    let query = query(kind, ask).ok_or(io::ErrorKind::InvalidInput)?;
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((server, 53)).await?;
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
    let mut stream = tokio::net::TcpStream::connect((server, 53)).await?;
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

pub(super) fn query(kind: Rtype, ask: &Ask) -> Option<Message<Vec<u8>>> {
    let mut number = [0; 2];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut number, flags).ok()?;
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(u16::from_ne_bytes(number));
    header.set_opcode(Opcode::QUERY);
    header.set_rd(true);
    let mut question = builder.question();
    question.push((&ask.name, kind, Class::IN)).ok()?;
    let mut additional = question.additional();
    let opt = additional.opt(|opt| {
        opt.set_udp_payload_size(DATAGRAM);
        Ok(())
    });
    opt.ok()?;
    Some(additional.into_message())
}

//! Asks a server as instances do: by UDP, and by TCP when the answer does not fit.

use domain::base::iana::{Class, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::Duration;

/// The time for one answer, and the number of times that a datagram is sent.
const ANSWER: Duration = Duration::from_secs(3);
const TIMES: usize = 3;
/// The size of datagrams that are taken, as of clients without the extension.
const DATAGRAM: usize = 4096;

/// A query for a type of records of a name.
///
/// # Errors
/// A name that DNS does not allow.
pub(crate) fn query(name: &str, kind: Rtype) -> io::Result<Message<Vec<u8>>> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let name = Name::<Vec<u8>>::vec_from_str(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name, kind, Class::IN)).map_err(invalid)?;
    let mut builder = builder.additional();
    let extended = builder.opt(|opt| {
        opt.set_udp_payload_size(u16::try_from(DATAGRAM).unwrap_or(u16::MAX));
        Ok(())
    });
    extended.map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(builder.into_message())
}

/// The reply, first by UDP.
///
/// # Errors
/// No answer, or one to another question.
pub(crate) fn by_udp(server: SocketAddrV4, query: &Message<Vec<u8>>) -> io::Result<Message<Vec<u8>>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWER))?;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..TIMES {
        socket.send(query.as_slice())?;
        let mut bytes = [0; DATAGRAM];
        match socket.recv(&mut bytes) {
            Ok(length) => {
                let reply = reply(query, bytes[..length].to_vec())?;
                // It does not fit, or the instance has asked too much within this second.
                return if reply.header().tc() { by_tcp(server, query) } else { Ok(reply) };
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The reply by TCP.
///
/// # Errors
/// As [`by_udp`].
pub(crate) fn by_tcp(server: SocketAddrV4, query: &Message<Vec<u8>>) -> io::Result<Message<Vec<u8>>> {
    reply(query, exchange(server.into(), query.as_slice(), ANSWER)?)
}

/// The reply to a message by TCP, unchecked; `wait` is the time for each part of it.
///
/// # Errors
/// No reply.
pub(crate) fn exchange(server: SocketAddr, message: &[u8], wait: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, ANSWER)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?.to_be_bytes();
    stream.write_all(&[&length, message].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn reply(query: &Message<Vec<u8>>, bytes: Vec<u8>) -> io::Result<Message<Vec<u8>>> {
    let reply = Message::from_octets(bytes).ok().filter(|reply| reply.is_answer(query));
    reply.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

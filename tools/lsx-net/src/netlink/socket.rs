//! The synchronous rtnetlink socket: one request and its answer, many requests in flight, or a dump.

use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::NetlinkError;
use super::namespace;
use super::wire::{self, Answer, HEADER};

/// Bytes of the receive queue; without privileges the kernel's default stays, and `WINDOW` is sized for that.
const RECEIVE_QUEUE: usize = 4 << 20;
/// Bytes of one datagram. The kernel fills a dump's datagram up to 32 KiB (`netlink_recvmsg`).
const DATAGRAM: usize = 128 << 10;
/// Requests in flight. An acknowledgement takes about 1 KiB of queue; the smallest default queue is 208 KiB.
const WINDOW: usize = 64;
/// Bytes in flight; a datagram above the send buffer (208 KiB) is refused with `EMSGSIZE`.
const WINDOW_BYTES: usize = 64 << 10;
/// How often a dump is repeated because it changed half-way, before it fails.
const DUMP_TRIES: usize = 20;
/// Seconds to wait for an answer. The kernel answers during the send, so a longer wait means that the answer is lost.
const TIMEOUT: i64 = 30;

/// A change or query, ready to be sent; the lifetime keeps a namespace open that the message names by number.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    op: String,
    flags: u16,
    message: RouteNetlinkMessage,
    descriptors: PhantomData<BorrowedFd<'a>>,
}

impl Request<'_> {
    /// `flags` are the `NLM_F_*` beyond `NLM_F_REQUEST | NLM_F_ACK`; `op` describes the request.
    pub(crate) fn new(op: String, flags: u16, message: RouteNetlinkMessage) -> Self {
        Request { op, flags, message, descriptors: PhantomData }
    }
}

/// An rtnetlink socket; it stays in the namespace it was opened in, whichever thread uses it.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
    datagram: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Whatever `socket(2)`, `bind(2)` and `setsockopt(2)` refuse.
    pub(crate) fn open() -> io::Result<Socket> {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // Connected to the kernel: another process cannot put an answer into the queue.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        socket.set_netlink_get_strict_chk(true)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_QUEUE).is_err() {
            tracing::debug!("the default receive queue stays: no CAP_NET_ADMIN");
        }
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(TIMEOUT))?;
        Ok(Socket { socket, sequence: 0, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// Opens a socket inside another network namespace; the calling thread stays in its own.
    ///
    /// # Errors
    /// As [`Socket::open`] and [`namespace::inside`].
    pub(crate) fn open_in(namespace: BorrowedFd<'_>) -> io::Result<Socket> {
        namespace::inside(namespace, Socket::open)?
    }

    /// Sends one request and waits for the kernel's answer.
    ///
    /// # Errors
    /// The kernel's errno and message.
    pub(crate) fn request(&mut self, request: &Request<'_>) -> Result<(), NetlinkError> {
        self.get(request, |_, _| ())
    }

    /// Sends one request and passes every object of the answer to `each` (message type, body).
    pub(super) fn get(
        &mut self,
        request: &Request<'_>,
        each: impl FnMut(u16, &[u8]),
    ) -> Result<(), NetlinkError> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | request.flags;
        self.converse(&request.op, flags, &request.message, each).map(drop)
    }

    /// All objects that a dump query selects. A dump that changed meanwhile (`NLM_F_DUMP_INTR`) is repeated.
    ///
    /// # Errors
    /// The kernel's errno and message; `EINTR` if the table changed during every attempt; `EBADMSG` if an object could not
    /// be read.
    pub(crate) fn dump(
        &mut self,
        op: &str,
        question: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let objects = self.dump_with(op, question, |kind, body| {
            let mut header = NetlinkHeader::default();
            header.message_type = kind;
            RouteNetlinkMessage::deserialize(&header, body).map_err(|e| e.to_string())
        })?;
        objects.into_iter().collect::<Result<_, _>>().map_err(|e| NetlinkError::new(op, Errno::EBADMSG, &e))
    }

    /// A dump whose objects are converted by `read`.
    pub(super) fn dump_with<T>(
        &mut self,
        op: &str,
        question: &RouteNetlinkMessage,
        mut read: impl FnMut(u16, &[u8]) -> T,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            let mut objects = Vec::new();
            let whole = self.converse(op, NLM_F_REQUEST | NLM_F_DUMP, question, |kind, body| {
                objects.push(read(kind, body))
            })?;
            if whole {
                return Ok(objects);
            }
        }
        Err(NetlinkError::new(op, Errno::EINTR, "the table changed during every reading"))
    }

    /// Sends many requests and returns their results in the same order. Every request is sent, also after an error; nothing
    /// is undone. The number in flight is limited, so that the answers fit the receive queue.
    pub(crate) fn batch(&mut self, requests: &[Request<'_>]) -> Vec<Result<(), NetlinkError>> {
        let mut verdicts = Vec::with_capacity(requests.len());
        while let Some(rest) = requests.get(verdicts.len()..).filter(|rest| !rest.is_empty()) {
            verdicts.extend(self.flight(rest));
        }
        verdicts
    }

    /// Sends as many of `requests` as fit one window, at least one.
    fn flight(&mut self, requests: &[Request<'_>]) -> Vec<Result<(), NetlinkError>> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for request in requests.iter().take(WINDOW) {
            self.sequence = self.sequence.wrapping_add(1);
            emit(&request.message, NLM_F_REQUEST | NLM_F_ACK | request.flags, self.sequence, &mut bytes);
            sent.push(request);
            if bytes.len() > WINDOW_BYTES {
                break;
            }
        }
        let mut verdicts: Vec<Option<Result<(), NetlinkError>>> = vec![None; sent.len()];
        let lost = self.land(&bytes, first, &sent, &mut verdicts).err();
        let lost = lost.unwrap_or_else(|| io::Error::from_raw_os_error(Errno::ENOBUFS as i32));
        let unanswered = |request: &Request<'_>| Err(NetlinkError::from_io(&request.op, &lost));
        verdicts
            .into_iter()
            .zip(sent)
            .map(|(verdict, request)| verdict.unwrap_or_else(|| unanswered(request)))
            .collect()
    }

    /// Sends a window and fills in the results by sequence number, counted from `first`.
    fn land(
        &mut self,
        bytes: &[u8],
        first: u32,
        sent: &[&Request<'_>],
        verdicts: &mut [Option<Result<(), NetlinkError>>],
    ) -> io::Result<()> {
        self.socket.send(bytes, 0)?;
        while verdicts.iter().any(Option::is_none) {
            self.receive()?;
            for frame in wire::frames(&self.datagram) {
                let place = frame.sequence.wrapping_sub(first) as usize;
                let (Some(request), Some(slot)) = (sent.get(place), verdicts.get_mut(place)) else {
                    continue;
                };
                if let Answer::End(verdict) = frame.answer() {
                    *slot =
                        Some(verdict.map_err(|(errno, text)| NetlinkError::new(&request.op, errno, &text)));
                }
            }
        }
        Ok(())
    }

    /// One query and its whole answer. `false` means that the table changed during the answer.
    fn converse(
        &mut self,
        op: &str,
        flags: u16,
        message: &RouteNetlinkMessage,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<bool, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        emit(message, flags, self.sequence, &mut bytes);
        self.socket.send(&bytes, 0).map_err(|e| NetlinkError::from_io(op, &e))?;
        let (mut whole, mut end) = (true, None);
        while end.is_none() {
            self.receive().map_err(|e| NetlinkError::from_io(op, &e))?;
            // Leftovers of a failed exchange stay in the queue; they are recognised by their number.
            for frame in wire::frames(&self.datagram).filter(|f| f.sequence == self.sequence) {
                whole &= frame.flags & NLM_F_DUMP_INTR == 0;
                match frame.answer() {
                    Answer::Object(kind, body) => each(kind, body),
                    Answer::End(verdict) => end = Some(verdict),
                    Answer::Nothing => (),
                }
            }
        }
        let verdict = end.unwrap_or(Ok(()));
        verdict.map(|()| whole).map_err(|(errno, text)| NetlinkError::new(op, errno, &text))
    }

    /// One datagram into the buffer, which is never filled with zeros.
    fn receive(&mut self) -> io::Result<()> {
        loop {
            self.datagram.clear();
            match self.socket.recv(&mut self.datagram, MsgFlags::MSG_TRUNC.bits()) {
                Ok(length) if length > DATAGRAM => {
                    return Err(io::Error::from_raw_os_error(Errno::EMSGSIZE as i32));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer"));
                }
                received => return received.map(|_| ()),
            }
        }
    }
}

fn emit(message: &RouteNetlinkMessage, flags: u16, sequence: u32, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    let length = HEADER + NetlinkSerializable::buffer_len(message);
    let mut header = NetlinkHeader::default();
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    header.message_type = message.message_type();
    header.flags = flags;
    header.sequence_number = sequence;
    bytes.resize(start + wire::aligned(length), 0);
    header.emit(&mut bytes[start..start + HEADER]);
    message.serialize(&mut bytes[start + HEADER..start + length]);
}

//! A connection: several requests, one after the other, each in limited time.

use super::reply::{Body, Part, Reply};
use super::request::{self, HEAD, Read, Request};
use common::host::service::work::{Drained, taken_over};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time that a connection may be idle, and that a request, and a reply or a piece of a file may take.
const IDLE: Duration = Duration::from_secs(20);
const REQUEST: Duration = Duration::from_secs(10);
const REPLY: Duration = Duration::from_secs(30);
/// How long, and how much, is still read of a client that gets no further reply.
const LAST: Duration = Duration::from_secs(2);
const AFTER: u64 = 64 * 1024;
/// The bytes of a file that are read at once.
const PIECE: u64 = 64 * 1024;

/// Who answers requests.
pub(crate) trait Answer {
    fn answer(&self, source: Ipv4Addr, request: &Request) -> Reply;
}

/// Answers the requests of a connection.
///
/// # Errors
/// Errors of the connection, and clients that are too slow.
pub(crate) async fn talk(
    server: &impl Answer,
    mut stream: TcpStream,
    source: Ipv4Addr,
    mut drained: Drained,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        if bytes.is_empty() {
            let more = tokio::select! {
                more = timeout(IDLE, more(&mut stream, &mut bytes)) => more??,
                () = taken_over(&mut drained) => return Ok(()),
            };
            if !more {
                return Ok(());
            }
        }
        let head = timeout(REQUEST, async {
            loop {
                match request::read(&bytes) {
                    Read::Part if more(&mut stream, &mut bytes).await? => {}
                    Read::Part => return io::Result::Err(io::ErrorKind::UnexpectedEof.into()),
                    other => return Ok(other),
                }
            }
        });
        let request = match head.await {
            Ok(read) => read?,
            Err(_) => Read::Wrong(408),
        };
        let (reply, stays, only_head) = match request {
            Read::Whole(request, length) => {
                bytes.drain(..length);
                let reply = server.answer(source, &request);
                (reply, request.stays && !*drained.borrow(), request.method == "HEAD")
            }
            Read::Wrong(status) => (Reply::refused(status, "this request is not understood"), false, false),
            Read::Part => return Ok(()), // It was waited for.
        };
        timeout(REPLY, stream.write_all(reply.head(stays).as_bytes())).await??;
        match reply.body {
            _ if only_head => {}
            Body::Text(body) => timeout(REPLY, stream.write_all(&body)).await??,
            Body::Part(part) => send(&mut stream, part).await?,
        }
        if !stays {
            stream.shutdown().await?;
            // With bytes left unread the kernel would take back what the client has not read yet.
            let _ = timeout(LAST, tokio::io::copy(&mut stream.take(AFTER), &mut tokio::io::sink())).await;
            return Ok(());
        }
    }
}

/// Sends a part of a file. One that has become shorter ends the connection, so that the client sees that bytes are missing.
async fn send(stream: &mut TcpStream, mut part: Part) -> io::Result<()> {
    let mut piece = vec![0; usize::try_from(part.length.min(PIECE)).unwrap_or_default()];
    let (mut at, end) = (part.from, part.from.saturating_add(part.length));
    loop {
        let length = (end - at).min(PIECE);
        let bytes = &mut piece[..usize::try_from(length).unwrap_or_default()];
        part.file.read_exact_at(bytes, at)?;
        at += length;
        if at == end && !part.sent.last() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        timeout(REPLY, stream.write_all(bytes)).await??;
        part.sent.passed(length);
        if at == end {
            return Ok(());
        }
    }
}

/// Reads more bytes, up to the size of a head; false at the end.
async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 2048];
    let most = part.len().min((HEAD + 1).saturating_sub(bytes.len()));
    let length = stream.read(&mut part[..most]).await?;
    bytes.extend_from_slice(&part[..length]);
    Ok(length > 0)
}

//! Queries by TCP (RFC 7766): several on one connection, one after the other.

use super::Server;
use super::changes::Changes;
use super::reply::{Question, Reply};
use common::host::service::places::Places;
use common::host::service::work::{self, Drained, taken_over};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The time that a connection may be idle, and the time for one query or reply to pass.
const IDLE: Duration = Duration::from_secs(20);
const PASS: Duration = Duration::from_secs(10);
/// The same when another worker has taken over: for what is under way.
const LAST: Duration = Duration::from_secs(2);
/// The longest message: updates may be longer than queries.
const MESSAGE: usize = 16 * 1024;
/// The number of connections.
const MOST: usize = 1000;

/// Answers connections until another worker has taken over.
pub(super) async fn accept(
    (server, changes): (Arc<Server>, Option<Changes>),
    listener: TcpListener,
    drained: Drained,
) {
    let at = listener.local_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip());
    let told = drained.clone();
    let talk =
        move |stream, from| talk((Arc::clone(&server), changes.clone()), stream, (from, at), told.clone());
    work::accept(listener, Places::new(MOST), drained, talk).await;
}

async fn talk(
    (server, changes): (Arc<Server>, Option<Changes>),
    mut stream: TcpStream,
    (from, at): (SocketAddr, IpAddr),
    mut drained: Drained,
) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        // The first byte may be on its way when another worker takes over.
        let early = tokio::select! {
            got = timeout(IDLE, stream.read(&mut length[..1])) => Some(got?),
            () = taken_over(&mut drained) => None,
        };
        let first = match early {
            Some(first) => first,
            None => timeout(LAST, stream.read(&mut length[..1])).await?,
        };
        if first? == 0 {
            return Ok(());
        }
        timeout(PASS, stream.read_exact(&mut length[1..])).await??;
        let length = usize::from(u16::from_be_bytes(length));
        if length > MESSAGE {
            return Ok(());
        }
        let mut query = vec![0; length];
        timeout(PASS, stream.read_exact(&mut query)).await??;
        let Some(mut question) = Question::read(&query, true) else { return Ok(()) };
        server.admit(&mut question, from); // By TCP all are answered; it gets a cookie.
        let reply = server.reply(&mut question, from);
        if matches!(reply, Reply::Transfer) {
            let allowed = (server.transfer.as_ref(), from.ip());
            for bytes in question.transfer(allowed, changes.as_ref()).await {
                server.counter.reply(&question, from, at, &bytes);
                send(&mut stream, &bytes).await?;
            }
            continue;
        }
        if let (Reply::News, Some(changes)) = (&reply, &changes) {
            let all = tokio::select! {
                all = question.news(changes) => all,
                () = taken_over(&mut drained) => return Ok(()), // It asks the next one.
            };
            for bytes in &all {
                send(&mut stream, bytes).await?;
            }
            if all.is_empty() {
                return Ok(());
            }
            continue;
        }
        let bytes = server.later(&mut question, reply, (from, changes.clone())).await;
        server.counter.reply(&question, from, at, &bytes);
        if bytes.is_empty() {
            return Ok(());
        }
        send(&mut stream, &bytes).await?;
    }
}

/// One message of another server.
pub(super) async fn received(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// One message with its length.
pub(super) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    timeout(PASS, stream.write_all(&[&length, bytes].concat())).await?
}

//! Connections: several requests on one, each in limited time. A client may have as many connections as are free.

use super::answer::{self, Reply};
use super::own::Server;
use super::request::{self, HEAD, Read};
use crate::serve::places::Places;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// The number of connections.
const MOST: usize = 512;
/// The time that a connection may be idle, and that a request and a reply may take.
const IDLE: Duration = Duration::from_secs(20);
const REQUEST: Duration = Duration::from_secs(10);
const REPLY: Duration = Duration::from_secs(30);
/// How long, and how much, is still read of a client that gets no further reply.
const LAST: Duration = Duration::from_secs(2);
const AFTER: u64 = 64 * 1024;
/// The pause after an error of the kernel, such as no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until another worker has taken over.
pub(super) async fn accept(server: Arc<Server>, listener: TcpListener, mut drained: watch::Receiver<bool>) {
    let mut open = tokio::task::JoinSet::new();
    let places = Places::new(MOST);
    while !*drained.borrow() {
        let got = tokio::select! {
            got = listener.accept() => got,
            _ = drained.changed() => break,
        };
        while open.try_join_next().is_some() {}
        match got {
            Ok((stream, from)) => {
                let IpAddr::V4(source) = from.ip() else { continue };
                // Without a place it is closed at once.
                let Some(place) = places.take(from.ip()) else { continue };
                let (server, drained) = (Arc::clone(&server), drained.clone());
                open.spawn(async move {
                    let _place = place;
                    let _ = talk(&server, stream, source, drained).await;
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn talk(
    server: &Server,
    mut stream: TcpStream,
    source: Ipv4Addr,
    mut drained: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        if bytes.is_empty() {
            let more = tokio::select! {
                more = timeout(IDLE, more(&mut stream, &mut bytes)) => more??,
                _ = drained.wait_for(|drained| *drained) => return Ok(()),
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
                let reply = answer::to(server, source, &request, server.began.elapsed().as_secs());
                (reply, request.stays && !*drained.borrow(), request.method == "HEAD")
            }
            Read::Wrong(status) => (Reply::refused(status, "this is no request for metadata"), false, false),
            Read::Part => return Ok(()), // It was waited for.
        };
        let body: &[u8] = if only_head { &[] } else { &reply.body };
        let head = reply.head(stays);
        timeout(REPLY, async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await
        })
        .await??;
        if !stays {
            stream.shutdown().await?;
            // With bytes left unread the kernel would take back what the client has not read yet.
            let _ = timeout(LAST, tokio::io::copy(&mut stream.take(AFTER), &mut tokio::io::sink())).await;
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

//! Queries by datagrams, many at once. Those that wait for other servers have tasks of their own.

use super::Server;
use super::batch::{Batch, MOST, Replies};
use super::changes::Changes;
use super::reply::Reply;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

thread_local! {
    /// One for all sockets: the worker has one thread.
    static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
}

/// Answers until another worker has taken over.
pub(super) async fn answer(
    (server, changes): (Arc<Server>, Option<Changes>),
    socket: Arc<UdpSocket>,
    mut drained: watch::Receiver<bool>,
) {
    let mut waiting = JoinSet::new();
    let mut replies = Replies::default();
    let at = socket.local_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip());
    let over = async move { _ = drained.wait_for(|drained| *drained).await };
    tokio::pin!(over);
    loop {
        // The latter first: with a query always waiting, the former would never end.
        tokio::select! {
            biased;
            () = &mut over => break,
            ready = socket.readable() => if ready.is_err() { break },
        }
        while waiting.try_join_next().is_some() {}
        // Errors are those of earlier answers, such as a port that nobody listens on.
        let _ = socket.try_io(Interest::READABLE, || {
            let number = some((&server, &changes), &socket, at, &mut replies, &mut waiting)?;
            // Nothing more was there: no need to ask the kernel again before it tells.
            if number < MOST { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if replies.send(&*socket) {
            let rest = |replies: &mut Replies| match replies.send(&*socket) {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => Ok(()),
            };
            while socket.writable().await.is_ok()
                && socket.try_io(Interest::WRITABLE, || rest(&mut replies)).is_err()
            {}
            replies.clear();
        }
    }
    drop(changes);
    while waiting.join_next().await.is_some() {}
}

/// Reads some queries, and writes their replies; returns the number.
fn some(
    (server, changes): (&Arc<Server>, &Option<Changes>),
    socket: &Arc<UdpSocket>,
    at: IpAddr,
    replies: &mut Replies,
    waiting: &mut JoinSet<()>,
) -> io::Result<usize> {
    BATCH.with_borrow_mut(|batch| {
        let number = batch.receive(&**socket)?;
        for (from, bytes) in batch.read() {
            let later = replies.add(from, |out| server.datagram(bytes, from, at, out));
            let Some((mut question, later)) = later else { continue };
            let (server, socket) = (Arc::clone(server), Arc::clone(socket));
            let changes = changes.clone().filter(|_| matches!(later, Reply::Change));
            waiting.spawn(async move {
                let from = SocketAddr::V4(from);
                let bytes = server.later(&mut question, later, (from, changes)).await;
                server.counter.reply(&question, from, at, &bytes);
                if !bytes.is_empty() {
                    let _ = socket.send_to(&bytes, from).await;
                }
            });
        }
        Ok(number)
    })
}

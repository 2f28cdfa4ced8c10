//! A server that does not keep the names itself: it asks the one that does what has changed, and passes updates on to it as they are
//! (RFC 2136 6). While that one cannot be reached, questions are answered from what this server has, and updates get SERVFAIL.

use super::changes::Changes;
use super::news;
use super::stream::{received, send};
use common::log;
use domain::tsig::Key;
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// The time for a connection, for a reply to an update, and for messages after those that may wait.
const CONNECT: Duration = Duration::from_secs(2);
const REPLY: Duration = Duration::from_secs(5);
const MORE: Duration = Duration::from_secs(20);
/// The pause after an error, and how often an update is passed on: it counts once.
const AGAIN: Duration = Duration::from_millis(250);
const TIMES: usize = 2;
/// Updates under way: less than the connections that one client may have.
const TOGETHER: usize = 40;

/// The server that keeps the names.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) at: SocketAddrV4,
    pub(super) key: Arc<Key>,
    open: Semaphore,
}

impl Keeper {
    pub(super) fn new(at: SocketAddrV4, key: Arc<Key>) -> Keeper {
        Keeper { at, key, open: Semaphore::new(TOGETHER) }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        timeout(CONNECT, TcpStream::connect(self.at)).await?
    }

    /// Follows the names until another worker has taken over; what does not work is logged once.
    pub(super) async fn follow(self: Arc<Self>, changes: Changes, mut drained: watch::Receiver<bool>) {
        let mut told = None;
        loop {
            let failed = tokio::select! {
                failed = self.until_it_fails(&changes, &mut told) => failed.err(),
                _ = drained.wait_for(|drained| *drained) => return,
            };
            let why = failed.map(|e| e.to_string());
            if why.is_some() && told != why {
                let why = why.as_deref().unwrap_or_default();
                log::warning(&format!(
                    "names of clients may be out of date, since {} cannot be followed: {why}",
                    self.at
                ));
            }
            told = why;
            tokio::select! {
                () = sleep(AGAIN) => {}
                _ = drained.wait_for(|drained| *drained) => return,
            }
        }
    }

    async fn until_it_fails(&self, changes: &Changes, told: &mut Option<String>) -> io::Result<()> {
        // Not before this worker has the journal, which then says how far it is.
        let Some(mut serial) = changes.serial().await else { return Ok(()) };
        let mut stream = self.connect().await?;
        loop {
            let (question, mut answers) =
                news::question(serial, &self.key).ok_or(io::ErrorKind::InvalidInput)?;
            send(&mut stream, &question).await?;
            let news = loop {
                let bytes = timeout(news::HOLD + MORE, received(&mut stream)).await??;
                if let Some(news) = answers.add(bytes)? {
                    break news;
                }
            };
            let to = news.to;
            changes.follow(news).await.map_err(io::Error::other)?;
            if told.take().is_some() {
                log::warning(&format!("names of clients are up to date again, with serial {to}"));
            }
            serial = to;
        }
    }

    /// Passes an update on.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn pass(&self, update: &[u8]) -> io::Result<Vec<u8>> {
        let _one = self.open.acquire().await.map_err(io::Error::other)?;
        let mut last = io::ErrorKind::TimedOut.into();
        for _ in 0..TIMES {
            match timeout(REPLY, self.once(update)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(e)) => last = e,
                Err(e) => last = e.into(),
            }
        }
        Err(last)
    }

    async fn once(&self, update: &[u8]) -> io::Result<Vec<u8>> {
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        let mut message = update.to_vec();
        message.get_mut(..2).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&id);
        let mut stream = self.connect().await?;
        send(&mut stream, &message).await?;
        let reply = received(&mut stream).await?;
        // The response to this message (QR), and nothing else.
        let own = reply.get(..2) == Some(&id) && reply.get(2).is_some_and(|flags| flags & 0x80 != 0);
        own.then_some(reply).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

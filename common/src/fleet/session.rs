//! One open session with a host's `agent`: the hello, one request at a time, and how it ended.

use super::budget::{Budget, Charge};
use super::ended::{Ended, Stderr};
use super::progress::Progress;
use super::reply::{Events, From, garbage, reply};
use super::wire::{Hello, Reply};
use crate::Failures;
use crate::host::limit::{self, NOISE};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::watch;

/// A running `agent` and the streams to it.
pub(super) struct Session {
    reader: From,
    writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    said: Stderr,
    end: End,
    progress: Progress,
    /// What the last reply takes.
    held: Vec<Charge>,
}

/// What runs at the other end.
pub(super) enum End {
    /// In this process.
    Thread(std::thread::JoinHandle<()>),
    /// On this machine.
    Child(Box<tokio::process::Child>),
    /// On a host, by SSH.
    Remote(Box<super::ssh::Running>),
}

impl Session {
    pub(super) fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        said: Stderr,
        end: End,
    ) -> Session {
        let (reader, writer) = (BufReader::new(Box::new(reader) as Box<_>), Some(Box::new(writer) as Box<_>));
        Session { reader, writer, said, end, progress: Progress::default(), held: Vec::new() }
    }

    /// The same session, which notes the progress of its requests there.
    pub(super) fn with(self, progress: &Progress) -> Session {
        Session { progress: progress.clone(), ..self }
    }

    /// Waits for the hello of `tool`, ignoring what a login's profile may print; `None` when another program runs there.
    pub(super) async fn hello(&mut self, tool: &str) -> Option<Hello> {
        let mut left = NOISE;
        loop {
            let mut line = Vec::new();
            match (&mut self.reader).take(left).read_until(b'\n', &mut line).await {
                Ok(read @ 1..) => left -= read as u64,
                _ => return None,
            }
            match serde_json::from_slice(&line) {
                Ok(Reply::Hello(hello)) => {
                    return Some(hello).filter(|hello| hello.tool == tool);
                }
                _ => self.said.push(String::from_utf8_lossy(&line).trim_end().chars().take(200).collect()),
            }
        }
    }

    /// Sends one request and waits for its reply, reading while writing. Once `cancel` is set, the host's input is closed,
    /// which tells it to undo, and its reply is still awaited.
    pub(super) async fn request(
        &mut self,
        request: &Value,
        name: &str,
        events: &Events,
        cancel: &watch::Receiver<bool>,
        (news, budget, renew): (watch::Receiver<Vec<String>>, &Arc<Budget>, bool),
    ) -> Result<Value, Failures> {
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        if line.len() as u64 > limit::LINE {
            let what = format!("the request to {name}");
            return Err(limit::exceeded(&what, limit::LINE).into());
        }
        // A reply that is already here would be taken for the answer to this request.
        if !self.reader.buffer().is_empty() {
            return Err(garbage("it sent a reply without a request").into());
        }
        // What the last reply took is free again: it was handled before this request was made.
        self.held.clear();
        let progress = &self.progress;
        let heard = || {
            if renew {
                progress.note();
            }
        };
        let read = reply(&mut self.reader, name, events, (budget, &mut self.held), &heard);
        tokio::pin!(read);
        tokio::select! {
            reply = &mut read => reply,
            () = write(&mut self.writer, (&line, &self.progress), cancel.clone(), news) => read.await,
        }
    }

    /// Closes the host's input and waits until the program there ends.
    pub(super) async fn ended(self) -> Ended {
        drop((self.writer, self.reader));
        let code = match self.end {
            End::Thread(thread) => {
                while !thread.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Some(0)
            }
            End::Child(mut child) => child.wait().await.ok().and_then(|status| status.code()),
            End::Remote(child) => super::ssh::code(child.wait().await),
        };
        Ended { code, lines: self.said.lines().await }
    }
}

/// Writes one line, then messages about failed steps as they come; returns only if it is cancelled or the host is gone.
async fn write(
    writer: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>,
    (line, progress): (&[u8], &Progress),
    mut cancel: watch::Receiver<bool>,
    mut news: watch::Receiver<Vec<String>>,
) {
    let all = async {
        let Some(to) = writer.as_mut() else { return };
        let mut said = progress.write(to, line).await;
        let mut told = 0;
        while said.is_ok() {
            let fresh: String =
                news.borrow_and_update()[told..].iter().map(|line| format!("{line}\n")).collect();
            told += fresh.lines().count();
            said = to.write_all(fresh.as_bytes()).await.and(to.flush().await);
            if said.is_ok() && news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = cancelled(&mut cancel) => {}
    }
    *writer = None;
}

/// Ends when the run was interrupted.
pub(super) async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    if cancel.wait_for(|set| *set).await.is_err() {
        std::future::pending::<()>().await;
    }
}

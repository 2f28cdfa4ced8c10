//! The time limit of a host: counted from the beginning of the verb, or from when the host last took a part of a large
//! transfer.

use super::Shared;
use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// What fits in the buffers on the way, so that writing it does not mean that the host has received anything.
const BUFFERED: usize = 64 * 1024;

/// When a host last took a part of a transfer.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    /// When that was, if there was a transfer.
    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At the beginning of a request.
    pub(super) fn begin(&self, shared: &Shared) -> Progress {
        if shared.renew.load(Ordering::Relaxed) {
            self.note();
        }
        self.clone()
    }

    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The end of the time limit as of now.
    pub(super) fn end(&self, shared: &Shared) -> Instant {
        let moved = self.last().and_then(|last| last.checked_add(shared.options.deadline));
        moved.map_or(shared.deadline, |end| end.max(shared.deadline))
    }

    /// The result of `work`, unless the time limit ends first.
    pub(super) async fn within<R>(&self, shared: &Shared, work: impl Future<Output = R>) -> Option<R> {
        tokio::pin!(work);
        loop {
            let end = self.end(shared);
            match timeout_at(end, &mut work).await {
                Ok(result) => return Some(result),
                Err(_) if self.end(shared) > end => {}
                Err(_) => return None,
            }
        }
    }

    /// Writes all of it, and notes when the other side takes more.
    pub(super) async fn write(
        &self,
        to: &mut (impl AsyncWrite + Unpin + ?Sized),
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            match to.write(&bytes[sent..bytes.len().min(sent + BUFFERED)]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => sent += taken,
            }
            if sent > BUFFERED {
                self.note();
            }
        }
        to.flush().await
    }
}

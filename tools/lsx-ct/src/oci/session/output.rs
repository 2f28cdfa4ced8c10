//! The output of a program, read in a separate thread and kept up to a limit.

use super::{LOOK, REST};
use crate::driver::KEPT;
use common::host::wait;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The output from a pipe, read in a separate thread.
pub(super) struct Output {
    shared: Arc<(Mutex<Kept>, Condvar)>,
}

/// See [`Output`].
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Number of bytes that were dropped.
    cut: u64,
    /// Whether the writer waits for the reader; otherwise excess output is dropped.
    waits: bool,
    /// Whether the pipe has ended, or is no longer needed.
    ended: bool,
}

impl Output {
    pub(super) fn of(pipe: Option<impl Read + Send + 'static>) -> Output {
        let kept = Kept { ended: pipe.is_none(), ..Kept::default() };
        let shared = Arc::new((Mutex::new(kept), Condvar::new()));
        let Some(mut pipe) = pipe else { return Output { shared } };
        let output = Output { shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                if !output.put(&buffer[..n]) {
                    return;
                }
            }
            output.kept().ended = true;
        });
        Output { shared }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep_up(&self, waits: bool) {
        self.kept().waits = waits;
    }

    /// Whether more output is still wanted.
    fn put(&self, piece: &[u8]) -> bool {
        let full = |kept: &mut Kept| kept.waits && !kept.ended && kept.bytes.len() >= KEPT;
        let kept = self.shared.1.wait_while(self.kept(), full);
        let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
        let room = if kept.waits { piece.len() } else { KEPT.saturating_sub(kept.bytes.len()) };
        let (fits, more) = piece.split_at(room.min(piece.len()));
        kept.bytes.extend_from_slice(fits);
        kept.cut += more.len() as u64;
        !kept.ended
    }

    pub(super) fn take(&self) -> Vec<u8> {
        let taken = std::mem::take(&mut self.kept().bytes);
        self.shared.1.notify_all();
        taken
    }

    pub(super) fn ended(&self) -> bool {
        self.kept().ended
    }

    /// The output so far.
    pub(super) fn seen(&self) -> String {
        wait::until(REST, LOOK.0, || self.ended());
        String::from_utf8_lossy(&self.kept().bytes).into_owned()
    }

    /// The output that was kept, and how much was dropped.
    pub(super) fn rest(self) -> (Vec<u8>, u64) {
        self.kept().ended = true;
        let rest = self.take();
        (rest, self.kept().cut)
    }
}

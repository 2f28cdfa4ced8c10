//! The input of a host's session, whose end stops all waits.

use crate::failure::Kind;
use crate::host::wait;
use crate::signal;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a change that is not undone may continue after its controller has ended: to finish its step and release the
/// lock.
const LAST: Duration = Duration::from_secs(10);

/// Watches standard input, whose end means that the controller has ended or wants this host to stop: all waits are ended.
/// After [`LAST`] the process exits, since the next run repairs what is left, unless it is undoing its steps.
pub(super) struct Input {
    pub(super) undoes: Arc<AtomicBool>,
    pub(super) over: bool,
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = io::stdin().read(to);
        if !matches!(read, Ok(1..)) && !std::mem::replace(&mut self.over, true) {
            signal::stop();
            let undoes = Arc::clone(&self.undoes);
            let _ = std::thread::Builder::new().name("last".to_owned()).spawn(move || last(&undoes));
        }
        read
    }
}

fn last(undoes: &AtomicBool) {
    wait::until(LAST, LAST, || false);
    if !undoes.load(Ordering::SeqCst) {
        #[expect(clippy::exit, reason = "the controller has ended, and the kernel releases the lock")]
        std::process::exit(i32::from(Kind::Failed.exit()));
    }
}

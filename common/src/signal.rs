//! Signals: the first one asks to stop, the second one ends the program.

use signal_hook::consts::{SIGINT, SIGPIPE, SIGTERM};
use signal_hook::{flag, low_level};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

struct Received {
    stop: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

static RECEIVED: OnceLock<Received> = OnceLock::new();

fn received() -> &'static Received {
    RECEIVED.get_or_init(|| Received { stop: Arc::default(), which: Arc::default() })
}

/// From now on the first SIGINT or SIGTERM only sets [`stopping`]; the second one exits. A verb that only reads does not
/// call it.
pub fn hold() {
    set(&received().stop);
}

/// The same for a flag of the caller: [`stopping`] stays false, so that hosts can still be asked to clean up.
pub fn noted() -> Arc<AtomicBool> {
    let stop = Arc::default();
    set(&stop);
    stop
}

fn set(stop: &Arc<AtomicBool>) {
    let which = &received().which;
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the exit handler checks the flag before this signal sets it.
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop));
        let _ = flag::register(signal, Arc::clone(stop));
        let _ = flag::register_usize(signal, Arc::clone(which), usize::try_from(signal).unwrap_or(0));
    }
}

/// Asks to stop, as the first signal does, because the controller of this process has ended.
pub fn stop() {
    received().stop.store(true, Ordering::Relaxed);
}

/// Whether the run was asked to stop.
pub fn stopping() -> bool {
    received().stop.load(Ordering::Relaxed)
}

/// Ends by the signal that asked to stop, so that a shell sees it; returns when there was none.
pub(crate) fn raise_again() {
    let which = received().which.load(Ordering::Relaxed);
    if which != 0 {
        let _ = low_level::emulate_default_handler(i32::try_from(which).unwrap_or(SIGTERM));
    }
}

/// Ends by SIGPIPE, as filters do when their reader has closed.
pub(crate) fn broken_pipe() {
    let _ = low_level::emulate_default_handler(SIGPIPE);
}

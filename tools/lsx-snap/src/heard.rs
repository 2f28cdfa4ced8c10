//! What the library of repositories warns of: it goes on without what it warns of, so lsx-snap must know.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::{Mutex, PoisonError};

/// The most lines that are kept.
const MOST: usize = 100;

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Ear;

impl Log for Ear {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        of.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        if self.enabled(record.metadata()) && heard.len() < MOST {
            heard.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Listens, and forgets what was heard before.
pub(crate) fn begin() {
    if log::set_logger(&Ear).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// What was heard since.
pub(crate) fn all() -> Vec<String> {
    std::mem::take(&mut HEARD.lock().unwrap_or_else(PoisonError::into_inner))
}

//! Live lines: what a run waits for, at the foot of a terminal, drawn anew as it changes and gone when it is over. Nothing of
//! it is written where standard error is no terminal, with -q, or with JSON.

use crate::{people, printable};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

#[derive(Debug, Default)]
struct Live {
    /// By whom it is about.
    lines: BTreeMap<String, String>,
    /// How many are on the screen.
    drawn: usize,
}

static LIVE: OnceLock<Mutex<Live>> = OnceLock::new();

/// Begins, once, where a person looks.
pub(crate) fn begin() {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if std::io::stderr().is_terminal() && !dumb {
        let _ = LIVE.set(Mutex::default());
    }
}

fn live() -> Option<MutexGuard<'static, Live>> {
    LIVE.get().map(|live| live.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Shows a line under a name, in the place of the one before.
pub fn set(name: &str, text: &str) {
    let Some(mut live) = live() else { return };
    live.lines.insert(name.to_owned(), printable::line(text).into_owned());
    live.draw("");
}

/// Takes the line of a name away.
pub fn clear(name: &str) {
    let Some(mut live) = live() else { return };
    if live.lines.remove(name).is_some() {
        live.draw("");
    }
}

/// Takes all away: what comes now stays.
pub(crate) fn end() {
    let Some(mut live) = live() else { return };
    if live.drawn > 0 {
        live.lines.clear();
        live.draw("");
    }
}

/// Writes a line that stays, above the live ones; false where there are none, and nothing is written.
pub(crate) fn above(line: &str) -> bool {
    let Some(mut live) = live().filter(|live| live.drawn > 0) else { return false };
    live.draw(&format!("{line}\n"));
    true
}

impl Live {
    /// In one write, so that nothing flickers.
    fn draw(&mut self, above: &str) {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let width = size.map_or(0, |size| usize::from(size.ws_col));
        let width = if width == 0 { 80 } else { width }; // a terminal that does not know
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        text.push_str("\r\x1b[J");
        text.push_str(above);
        for line in self.lines.values() {
            text.push_str(&people::cut(line, width.max(20) - 1));
            text.push('\n');
        }
        self.drawn = self.lines.len();
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

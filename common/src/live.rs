//! Live lines: what a run waits for, at the bottom of a terminal, updated in place and removed at the end. They are not
//! written when standard error is no terminal, with -q, or with JSON.

use crate::{people, printable};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

#[derive(Debug, Default)]
struct Live {
    /// The lines by name.
    lines: BTreeMap<String, String>,
    /// The number of lines on the screen.
    drawn: usize,
}

/// The number of lines: hosts choose the names.
const MOST: usize = 1000;

static LIVE: OnceLock<Mutex<Live>> = OnceLock::new();

/// Starts, once, if standard error is a terminal.
pub(crate) fn begin() {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if std::io::stderr().is_terminal() && !dumb {
        let _ = LIVE.set(Mutex::default());
    }
}

fn live() -> Option<MutexGuard<'static, Live>> {
    LIVE.get().map(|live| live.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sets the line of a name.
pub fn set(name: &str, text: &str) {
    let Some(mut live) = live().filter(|live| live.lines.len() < MOST || live.lines.contains_key(name))
    else {
        return;
    };
    live.lines.insert(name.to_owned(), printable::line(text).into_owned());
    live.draw("");
}

/// Removes the line of a name.
pub fn clear(name: &str) {
    let Some(mut live) = live() else { return };
    if live.lines.remove(name).is_some() {
        live.draw("");
    }
}

/// Removes all lines; what is printed next stays.
pub(crate) fn end() {
    let Some(mut live) = live() else { return };
    if live.drawn > 0 {
        live.lines.clear();
        live.draw("");
    }
}

/// Prints a permanent line above the live ones; returns false if there are none, without printing.
pub(crate) fn above(line: &str) -> bool {
    let Some(mut live) = live().filter(|live| live.drawn > 0) else { return false };
    live.draw(&format!("{line}\n"));
    true
}

impl Live {
    /// In one write, to avoid flicker.
    fn draw(&mut self, above: &str) {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let width = size.map_or(0, |size| usize::from(size.ws_col));
        let width = if width == 0 { 80 } else { width }; // a terminal that does not report its width
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

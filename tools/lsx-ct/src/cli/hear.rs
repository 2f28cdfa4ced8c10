//! Prints output of instances and programs as it arrives; with several instances, lines start with the name.

use super::targets::Targets;
use crate::act::{Line, Piece, Ran};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Failure, stdio};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A line longer than this is printed in pieces.
const LINE: usize = 64 * 1024;

/// Prints what arrives.
pub(super) struct Teller {
    several: bool,
    raw: bool,
    /// Incomplete lines, by name and stream.
    begun: Mutex<BTreeMap<(String, String), Vec<u8>>>,
}

impl Teller {
    pub(super) fn new(targets: &Targets, raw: bool) -> Teller {
        Teller { several: targets.values().flatten().count() > 1, raw, begun: Mutex::default() }
    }

    /// Lines of a log, from an event of a host.
    pub(super) fn lines(host: &str, event: Value) -> Vec<Line> {
        let lines: Vec<Line> = serde_json::from_value(event).unwrap_or_default();
        lines.into_iter().map(|line| Line { host: host.to_owned(), ..line }).collect()
    }

    /// Without its time.
    pub(super) fn plain(&self, line: &Line) -> Result<(), Failure> {
        let front = if self.several { format!("{} | ", line.instance) } else { String::new() };
        stdio::program(format!("{front}{}\n", line.line).as_bytes(), self.raw)
    }

    /// A piece of a program's output, from an event of a host.
    pub(super) fn piece(&self, host: &str, event: Value) {
        let Ok(piece) = serde_json::from_value::<Piece>(event) else { return };
        let Ok(bytes) = STANDARD.decode(&piece.bytes) else { return };
        if !self.several {
            return self.say(&piece.stream, &bytes);
        }
        let name = if piece.target.name.is_empty() { host.to_owned() } else { piece.target.name };
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = all.entry((name.clone(), piece.stream.clone())).or_default();
        begun.extend_from_slice(&bytes);
        while let Some(end) = begun.iter().position(|b| *b == b'\n').map(|n| n + 1).or(over(begun)) {
            let line: Vec<u8> = begun.drain(..end).collect();
            self.with_name(&name, &piece.stream, &line);
        }
    }

    /// At the end: prints incomplete lines, and the output of programs that sent no events.
    pub(super) fn end(&self, ran: &[Ran]) -> Result<(), Failure> {
        for ((name, stream), line) in
            std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner))
        {
            if !line.is_empty() {
                self.with_name(&name, &stream, &line);
            }
        }
        // An engine that cannot stream has returned the output at the end.
        for one in ran {
            let name = if one.instance.is_empty() { &one.host } else { &one.instance };
            for (stream, text) in [("stdout", &one.stdout), ("stderr", &one.stderr)] {
                for line in text.split_inclusive('\n') {
                    if self.several {
                        self.with_name(name, stream, line.as_bytes());
                    } else {
                        self.say(stream, line.as_bytes());
                    }
                }
            }
        }
        Ok(())
    }

    fn with_name(&self, name: &str, stream: &str, line: &[u8]) {
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        self.say(stream, &[name.as_bytes(), b" | ", line, end].concat());
    }

    fn say(&self, stream: &str, bytes: &[u8]) {
        let told = match stream {
            "stderr" => stdio::program_errors(bytes, self.raw),
            _ => stdio::program(bytes, self.raw),
        };
        told.unwrap_or_else(|e| tracing::debug!("{e}"));
    }
}

fn over(line: &[u8]) -> Option<usize> {
    (line.len() > LINE).then_some(LINE)
}

//! Standard input and output, used only through this module. stdout has only the result.

use crate::document::canonical;
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::{limit, named};
use crate::printable;
use crate::table::{self, Columns};
use crate::{log, signal};
use nix::sys::stat::{SFlag, fstat};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Reads a document from a file, or from standard input for `-` or without a name. Returns its text and its name for
/// messages.
///
/// # Errors
/// `Usage` when standard input is a terminal, `Empty` when the input is empty, `Data` when it is not UTF-8, or a file
/// error.
pub fn read(input: Option<&Path>) -> Result<(String, String), Failure> {
    let (bytes, name) = match input.filter(|p| p.as_os_str() != "-") {
        Some(path) => (named(path)?, path.display().to_string()),
        None => (standard_input()?, "-".to_owned()),
    };
    let text = String::from_utf8(bytes).map_err(|e| {
        Failure::new(Kind::Data, "document.utf8", format!("{name}: not UTF-8: {}", e.utf8_error()))
    })?;
    if text.trim().is_empty() {
        let failure = Failure::new(
            Kind::Empty,
            "document.empty",
            match name.as_str() {
                "-" => "standard input is empty; a document is expected".to_owned(),
                _ => format!("{name} is empty; a document is expected"),
            },
        );
        return Err(match name.as_str() {
            // In a pipe the previous tool has already reported its failure; under cron no tool has.
            "-" if brings_nothing() => failure.hint(WAYS),
            _ => failure,
        });
    }
    Ok((text, name))
}

/// The ways to name a document.
pub(crate) const WAYS: &str =
    "name a FILE, use a pipe, or for a stack: set LSX_STACK, or change to a folder with a stack.yaml";

/// Whether standard input cannot bring a document: a terminal, or /dev/null, as under cron and service managers. A pipe, a
/// socket or a file can; if it is empty, the previous program in the pipe has failed.
pub(crate) fn brings_nothing() -> bool {
    let stdin = io::stdin().lock();
    stdin.is_terminal()
        || fstat(&stdin)
            .is_ok_and(|stat| SFlag::S_IFMT & SFlag::from_bits_retain(stat.st_mode) == SFlag::S_IFCHR)
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Err(Failure::new(Kind::Usage, "usage.stdin", "a document is expected on standard input")
            .hint("name a file, or use < FILE; see --help"));
    }
    limit::read(stdin, limit::DOCUMENT, "the document on standard input")
}

/// A file, or a path such as `/dev/fd/63` of a shell.
fn named(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = std::fs::File::open(path).map_err(|e| missing(path, &e))?;
    limit::read(file, limit::DOCUMENT, &path.display().to_string())
}

fn missing(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => {
            Failure::new(Kind::Empty, "document.missing", format!("{}: no such file", path.display()))
                .hint("name the file, or - for standard input")
        }
        _ => file::failure(path, "read", error),
    }
}

/// Where documents go.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// A file, written atomically and left untouched when its content is the same; default: standard output.
    pub path: Option<PathBuf>,
    /// A table instead of JSON.
    pub table: bool,
    /// On a terminal: clear the screen first.
    pub fresh: bool,
    /// The tables of the tool.
    pub tables: &'static [Columns],
}

impl Output {
    /// Writes documents, one per line; indented on a terminal.
    ///
    /// # Errors
    /// File errors. If the reader has closed, the program ends by SIGPIPE, as other filters do.
    pub fn emit<T: Serialize>(&self, documents: &[T]) -> Result<(), Failure> {
        match &self.path {
            None if self.table && self.fresh => {
                let table = self.table(documents);
                let rows = if table.is_empty() { b"nothing to show\n".as_slice() } else { &table };
                write(&[b"\x1b[H\x1b[J".as_slice(), rows].concat())
            }
            None if self.table => {
                let text = self.table(documents);
                if text.is_empty() {
                    log::note("nothing to show");
                }
                write(&text)
            }
            None => stream(documents),
            Some(path) => {
                let bytes = if self.table {
                    self.table(documents)
                } else {
                    documents.iter().map(canonical).collect::<Result<Vec<_>, _>>()?.concat()
                };
                named::write(path, &bytes, Mode::Public).map(|_| ())
            }
        }
    }

    /// Whether to print a text for people instead of documents: on request, or on a terminal.
    pub(crate) fn for_people(&self) -> bool {
        self.table || self.on_terminal()
    }

    /// Whether the output is a terminal.
    pub fn on_terminal(&self) -> bool {
        self.path.is_none() && io::stdout().is_terminal()
    }

    /// The same, with a table on a terminal.
    #[must_use]
    pub fn people(&self) -> Output {
        Output { table: self.for_people(), ..self.clone() }
    }

    /// Whether that text has colours.
    pub(crate) fn colour(&self) -> bool {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        self.on_terminal() && !plain
    }

    /// Writes a text for people. The caller has made it printable.
    ///
    /// # Errors
    /// As [`Output::emit`].
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        match &self.path {
            None => write(text.as_bytes()),
            Some(path) => named::write(path, text.as_bytes(), Mode::Public).map(|_| ()),
        }
    }

    fn table<T: Serialize>(&self, documents: &[T]) -> Vec<u8> {
        let values = table::values(documents);
        let schema = |value: &Value| Some(value.get("schema")?.as_str()?.rsplit_once('/')?.0.to_owned());
        let name = values.first().and_then(schema).unwrap_or_default();
        let known = self.tables.iter().find(|(of, ..)| name.ends_with(of));
        table::table(&values, known, self.width()).into_bytes()
    }

    /// The width of a table: that of the terminal, else 80 columns.
    fn width(&self) -> usize {
        let terminal = if self.path.is_none() { terminal_width() } else { None };
        terminal.unwrap_or(80).max(40)
    }
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Writes bytes to standard output.
///
/// # Errors
/// Kind `Failed`, unless the reader has closed: then the program ends by SIGPIPE.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes output of a program in an instance or on a host. On a terminal its control characters are escaped unless `raw` is
/// set; into a pipe or a file every byte is written unchanged.
///
/// # Errors
/// As [`write`].
pub fn program(bytes: &[u8], raw: bool) -> Result<(), Failure> {
    if raw || !io::stdout().is_terminal() {
        return write(bytes);
    }
    write(printable::text(&String::from_utf8_lossy(bytes)).as_bytes())
}

/// The same for its standard error.
///
/// # Errors
/// Kind `Failed`.
pub fn program_errors(bytes: &[u8], raw: bool) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    let written = match raw || !stderr.is_terminal() {
        true => stderr.write_all(bytes),
        false => stderr.write_all(printable::text(&String::from_utf8_lossy(bytes)).as_bytes()),
    };
    written.map_err(|e| Failure::new(Kind::Failed, "stdio.write", format!("standard error: {e}")))
}

/// Serialises documents directly into the output, so that a big one is not in memory as text.
fn stream<T: Serialize>(documents: &[T]) -> Result<(), Failure> {
    let person = io::stdout().is_terminal();
    let mut stdout = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut all = || -> io::Result<()> {
        for document in documents {
            if person {
                serde_json::to_writer_pretty(JsonWriter(&mut stdout), document)?;
            } else {
                serde_json::to_writer(&mut stdout, document)?;
            }
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    };
    written(all())
}

fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {
            signal::broken_pipe();
            Ok(())
        }
        Err(e) => Err(Failure::new(Kind::Failed, "stdio.write", format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// A writer of JSON to a terminal. serde_json writes whole pieces of text, so that no character is split.
struct JsonWriter<W>(W);

impl<W: Write> Write for JsonWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(printable::json(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

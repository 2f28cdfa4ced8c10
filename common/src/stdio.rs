//! Standard input and output: the only room that touches them. stdout holds the value and nothing else.

use crate::document::canonical;
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::limit;
use crate::printable::{self, JsonWriter};
use crate::signal;
use nix::sys::stat::{SFlag, fstat};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Reads a document from a file, or from standard input for `-` or nothing. Returns its text and its name for messages.
///
/// # Errors
/// `Usage` when standard input is a terminal, `Empty` when nothing came, `Data` when it is not UTF-8, or the file's own.
pub fn read(input: Option<&Path>) -> Result<(String, String), Failure> {
    let (bytes, name) = match input.filter(|p| p.as_os_str() != "-") {
        Some(path) => (named(path)?, path.display().to_string()),
        None => (standard_input()?, "-".to_owned()),
    };
    let text = String::from_utf8(bytes).map_err(|e| {
        Failure::new(Kind::Data, "document.utf8", format!("{name}: not UTF-8: {}", e.utf8_error()))
    })?;
    if text.trim().is_empty() {
        let failure = Failure::new(Kind::Empty, "document.empty", format!("{name}: no document came"));
        return Err(if name == "-" { failure } else { failure.hint("the file is empty") });
    }
    Ok((text, name))
}

/// Whether standard input can bring no document: a terminal, or /dev/null, as cron and service managers give it. A pipe, a
/// socket or a file can, even when it turns out to be empty: then a program before in the pipe has failed.
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
            .hint("name a file, or use < FILE; --help tells more"));
    }
    limit::read(stdin, limit::DOCUMENT, "the document on standard input")
}

/// A file, or whatever a shell gives the name of, as `/dev/fd/63`.
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

/// How documents become a table: the document's name, the key of the list in it (empty where each document is a row), and
/// dotted paths of the columns.
pub type Columns = (&'static str, &'static str, &'static [&'static str]);

/// Where documents go.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// A file, written atomically and left alone when its bytes are equal; standard output when absent.
    pub path: Option<PathBuf>,
    /// A table for people instead of JSON.
    pub table: bool,
    /// The tables of the tool.
    pub tables: &'static [Columns],
}

impl Output {
    /// Writes documents, one a line; indented when a person looks at them.
    ///
    /// # Errors
    /// The file's own. A reader that has gone ends the program by SIGPIPE, as it does any filter.
    pub fn emit<T: Serialize>(&self, documents: &[T]) -> Result<(), Failure> {
        match &self.path {
            None if self.table => write(&self.tables(documents)),
            None => stream(documents),
            Some(path) => {
                let bytes = if self.table {
                    self.tables(documents)
                } else {
                    documents.iter().map(canonical).collect::<Result<Vec<_>, _>>()?.concat()
                };
                file::write(path, &bytes, Mode::Public).map(|_| ())
            }
        }
    }

    /// One table for every document; or one for all, where each document is a row.
    fn tables<T: Serialize>(&self, documents: &[T]) -> Vec<u8> {
        let values: Vec<Value> =
            documents.iter().map(|d| serde_json::to_value(d).unwrap_or_default()).collect();
        let known = values.first().and_then(|v| self.columns(v));
        if let Some((_, "", columns)) = known {
            return rows(&values, columns).into_bytes();
        }
        values.iter().flat_map(|v| self.table(v).into_bytes()).collect()
    }

    fn columns(&self, document: &Value) -> Option<&'static Columns> {
        let schema = document.get("schema").and_then(Value::as_str).unwrap_or_default();
        let (name, _) = schema.rsplit_once('/')?;
        self.tables.iter().find(|(of, ..)| name.ends_with(of))
    }

    /// The table of a document: its list as the tool says, or else its first list of objects with their plain fields.
    fn table(&self, document: &Value) -> String {
        let (list, columns): (&Value, Vec<String>) = match self.columns(document) {
            Some((_, list, columns)) => (&document[*list], columns.iter().map(|c| (*c).to_owned()).collect()),
            None => first_list(document),
        };
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        rows(list.as_array().map(Vec::as_slice).unwrap_or_default(), &columns)
    }
}

fn rows(rows: &[Value], columns: &[&str]) -> String {
    let head =
        columns.iter().map(|c| printable::line(c.rsplit('.').next().unwrap_or(c)).to_uppercase()).collect();
    let body = rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect());
    align(std::iter::once(head).chain(body).collect())
}

/// Writes bytes to standard output.
///
/// # Errors
/// Kind `Failed`, unless the reader has gone: that ends the program by SIGPIPE.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes what a program in an instance or on a host wrote. On a terminal its control characters are shown, not obeyed, unless a person
/// asked for them (`raw`); into a pipe or a file goes every byte as it came.
///
/// # Errors
/// As [`write`].
pub fn program(bytes: &[u8], raw: bool) -> Result<(), Failure> {
    if raw || !io::stdout().is_terminal() {
        return write(bytes);
    }
    write(printable::text(&String::from_utf8_lossy(bytes)).as_bytes())
}

/// Writes documents as they are made: the text of a big one is never whole in memory.
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

fn first_list(document: &Value) -> (&Value, Vec<String>) {
    let list = document.as_object().into_iter().flat_map(|o| o.values()).find(|v| v[0].is_object());
    let list = list.unwrap_or(&Value::Null);
    let columns = list[0].as_object().into_iter().flatten().filter(|(_, v)| !v.is_array() && !v.is_object());
    (list, columns.map(|(k, _)| k.clone()).collect())
}

fn cell(row: &Value, path: &str) -> String {
    match if path.is_empty() { row } else { path.split('.').fold(row, |value, key| &value[key]) } {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable::line(text).into_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => items.iter().map(|i| cell(i, "")).collect::<Vec<_>>().join(","),
        other => printable::json(&other.to_string()).into_owned(),
    }
}

/// Columns as wide as their widest cell, two blanks between them.
fn align(rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let line: String = row.iter().zip(&widths).map(|(c, w)| format!("{c:w$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_holds_no_control_character_and_no_second_line() {
        let evil = "a\x1b[2J\nb\u{202e}";
        let row = json!({"name": evil, "list": [evil, {"x": evil}], "map": {evil: evil}, "k\x1b": 1});
        let shown = rows(&[row], &["name", "list", "map", "k\x1b"]);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
        assert!(shown.contains(r"a\x1b[2J\nb\u{202e}"), "{shown}");
    }
}

//! Documents as a table: columns that fit the width, readable sizes and times, one line per row if possible.

use crate::{log, people, printable};
use serde_json::{Value, json};

/// How documents become a table: the document's name, the key of the list in it (empty if each document is a row), and
/// dotted paths of the columns, with `=HEAD` for another heading than the last word of the path, and `?KEY` for a cell that
/// is empty unless the row has KEY.
pub type Columns = (&'static str, &'static str, &'static [&'static str]);

/// Minimum width of a column.
const NARROWEST: usize = 8;

/// One table of all documents, empty if there is no row: each is a row, or has a list of rows, which get the document's host.
pub fn table(documents: &[Value], known: Option<&Columns>, width: usize) -> String {
    match known {
        Some((_, "", columns)) => lay(documents, columns, width),
        Some((_, list, columns)) => {
            let rows: Vec<Value> = documents.iter().flat_map(|document| rows(document, list)).collect();
            lay(&rows, columns, width)
        }
        None => documents.iter().map(|document| first_list(document, width)).collect(),
    }
}

fn rows(document: &Value, list: &str) -> Vec<Value> {
    let mut rows = document[list].as_array().cloned().unwrap_or_default();
    for row in &mut rows {
        if let (Some(row), Some(host)) = (row.as_object_mut(), document.get("host")) {
            row.entry("host").or_insert_with(|| host.clone());
        }
    }
    rows
}

/// For a document without a table definition: its first list of objects, with their scalar fields.
fn first_list(document: &Value, width: usize) -> String {
    let list = document.as_object().into_iter().flat_map(|o| o.values()).find(|v| v[0].is_object());
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fields = list.first().and_then(Value::as_object).into_iter().flatten();
    let columns: Vec<&str> =
        fields.filter(|(_, v)| !v.is_array() && !v.is_object()).map(|(k, _)| k.as_str()).collect();
    lay(list, &columns, width)
}

fn lay(rows: &[Value], columns: &[&str], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let split = |column: &&str| {
        let (path, head) = column.split_once('=').unwrap_or((column, ""));
        (path.to_owned(), if head.is_empty() { self::head(path) } else { head.to_owned() })
    };
    let columns: Vec<(String, String)> = columns.iter().map(split).collect();
    let head: Vec<String> = columns.iter().map(|(_, head)| head.clone()).collect();
    let body = rows.iter().map(|row| columns.iter().map(|(path, _)| cell(row, path)).collect());
    align(&std::iter::once(head).chain(body).collect::<Vec<_>>(), width)
}

/// The last word of a path, without the unit, which the cells show.
fn head(path: &str) -> String {
    let word = path.rsplit('.').next().unwrap_or(path);
    let units = ["_bytes", "_percent", "_bps", "_at", "_ms"];
    let word = units.iter().find_map(|unit| word.strip_suffix(unit)).unwrap_or(word);
    printable::line(word).to_uppercase()
}

fn cell(row: &Value, path: &str) -> String {
    let (path, when) = path.split_once('?').unwrap_or((path, ""));
    if !when.is_empty() && row.get(when).is_none() {
        return "-".to_owned();
    }
    let value = if path.is_empty() { row } else { path.split('.').fold(row, |value, key| &value[key]) };
    let key = path.rsplit('.').next().unwrap_or(path);
    match (value, value.as_f64()) {
        (Value::Null, _) => "-".to_owned(),
        (Value::String(text), _) if text.is_empty() => "-".to_owned(),
        (Value::String(text), _) if key.ends_with("_at") => age(text),
        (Value::String(text), _) => printable::line(text.trim_end()).into_owned(),
        (Value::Bool(yes), _) => if *yes { "yes" } else { "no" }.to_owned(),
        (Value::Array(items), _) => items.iter().map(|i| cell(i, "")).collect::<Vec<_>>().join(", "),
        (_, Some(number)) => people::number(key, number).unwrap_or_else(|| plain(value, number)),
        _ => printable::json(&value.to_string()).into_owned(),
    }
}

fn plain(value: &Value, number: f64) -> String {
    if value.is_f64() { format!("{number:.2}") } else { value.to_string() }
}

/// The time since then; an invalid time is left unchanged.
fn age(at: &str) -> String {
    match log::since(at) {
        Some(time) => people::time(u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1_000)),
        None => printable::line(at).into_owned(),
    }
}

/// Columns as wide as their widest cell, separated by two blanks, and together no wider than `width` if possible: the
/// widest is narrowed first. A cell with several words is wrapped, another one is cut.
fn align(rows: &[Vec<String>], width: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns).map(widest).collect();
    while widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1) > width {
        match widths.iter_mut().filter(|w| **w > NARROWEST).max() {
            Some(widest) => *widest -= 1, // of equal ones the last, since the first columns identify the row
            None => break,
        }
    }
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let wrapped: Vec<Vec<String>> =
        row.iter().zip(widths).map(|(cell, width)| people::wrap(cell, (*width).max(1))).collect();
    let mut text = String::new();
    for n in 0..wrapped.iter().map(Vec::len).max().unwrap_or(0) {
        let part = |(lines, width): (&Vec<String>, &usize)| {
            let part = lines.get(n).map(String::as_str).unwrap_or_default();
            format!("{part}{}  ", " ".repeat(width.saturating_sub(part.chars().count())))
        };
        let shown: String = wrapped.iter().zip(widths).map(part).collect();
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

/// Documents as values, for [`table`].
pub(crate) fn values<T: serde::Serialize>(documents: &[T]) -> Vec<Value> {
    documents.iter().map(|document| json!(document)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_no_control_character_and_no_second_line() {
        let evil = "a\x1b[2J\nb\u{202e}";
        let row = json!({"name": evil, "list": [evil, {"x": evil}], "map": {evil: evil}, "k\x1b": 1});
        let shown = lay(&[row], &["name", "list", "map", "k\x1b"], 300);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
        assert!(shown.contains(r"a\x1b[2J\nb\u{202e}"), "{shown}");
    }

    #[test]
    fn a_table_fits_its_width_and_loses_no_word() {
        let words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda my ny xi";
        let row = json!({"host": "h1", "digest": "d".repeat(90), "why": words, "memory_bytes": 1_153_434});
        let shown = lay(&[row], &["host", "digest", "why", "memory_bytes"], 80);
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(words.split(' ').all(|word| shown.contains(word)) && shown.contains('…'), "{shown}");
        assert!(shown.contains("MEMORY") && shown.contains("1.1M"), "{shown}");
    }

    #[test]
    fn how_long_something_runs_is_told_while_it_runs() {
        let started = |name: &str, seconds: u64, pid: Option<u32>| {
            let mut row =
                json!({"name": name, "started_at": log::ago(std::time::Duration::from_secs(seconds))});
            pid.into_iter().for_each(|pid| row["pid"] = pid.into());
            row
        };
        let minute = 60;
        let rows = [
            started("now", 0, Some(7)),
            started("minutes", 5 * minute + 30, Some(7)),
            started("hours", 150 * minute, Some(7)),
            started("days", 100 * 60 * minute, Some(7)),
            started("ended", 5 * minute, None),
            json!({"name": "new", "pid": 7}),
            json!({"name": "odd", "pid": 7, "started_at": "a\x1b[2J"}),
        ];
        let shown = lay(&rows, &["name", "started_at?pid=UPTIME"], 80);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "NAME     UPTIME");
        let seconds = lines[1].strip_prefix("now      ").and_then(|cell| cell.strip_suffix(" s")).unwrap();
        assert!((1..60).contains(&seconds.parse::<u64>().unwrap()), "{shown}");
        let rest = [
            "minutes  5 min",
            "hours    2 h",
            "days     4 d",
            "ended    -",
            "new      -",
            r"odd      a\x1b[2J",
        ];
        assert_eq!(lines[2..], rest);
    }

    #[test]
    fn documents_of_several_hosts_make_one_table() {
        let of = |host: &str| json!({"host": host, "objects": [{"key": host}]});
        let shown = table(&[of("h1"), of("h2")], Some(&("x", "objects", &["host", "key=WHAT"])), 80);
        assert_eq!(shown, "HOST  WHAT\nh1    h1\nh2    h2\n");
    }
}

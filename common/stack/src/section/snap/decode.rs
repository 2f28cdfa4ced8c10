//! The section `snap`: reads it from the document.

use super::{Job, Keep, Proof, Quiesce, QuiesceTable, Snap, SnapTarget};
use crate::decode::at::{At, string, truth};
use crate::decode::words::{absolute, label};
use crate::tree::Value;
use crate::value::{Parsed, Wrong, clock, login, percent, size, url};
use std::collections::BTreeMap;

pub(crate) fn snap(at: At<'_, '_>) -> Option<Snap> {
    let table = at.table()?;
    let snap = Snap {
        to: table.get("to", targets).unwrap_or_default(),
        what: table.get("what", jobs).unwrap_or_default(),
        state: table.get("state", truth),
        check: table.get("check", proof),
    };
    table.finish();
    Some(snap)
}

pub(super) fn target(at: At<'_, '_>) -> Option<SnapTarget> {
    let table = at.table()?;
    let target = SnapTarget {
        repository: table.need("repository", |at| at.parse(repository)).unwrap_or_default(),
        key: table.need("key", string).unwrap_or_default(),
        append_only: table.get("append_only", truth).unwrap_or_default(),
        limit: table.get("limit", |at| at.parse(size)),
    };
    table.finish();
    Some(target)
}

pub(super) fn job(at: At<'_, '_>) -> Option<Job> {
    let table = at.table()?;
    let job = Job {
        volumes: table.get("volumes", |at| at.many(string)).unwrap_or_default(),
        every: table.get("every", |at| at.span(60, 31536000)),
        at: table.get("at", |at| at.many(|at| at.parse(clock))).unwrap_or_default(),
        keep: table.get("keep", keep),
        quiesce: table.get("quiesce", quiesce),
        to: table.get("to", |at| at.many(string)).unwrap_or_default(),
        exclude: table.get("exclude", |at| at.many(|at| at.parse(pattern))).unwrap_or_default(),
    };
    table.finish();
    Some(job)
}

pub(super) fn keep(at: At<'_, '_>) -> Option<Keep> {
    let table = at.table()?;
    let keep = Keep {
        all: table.get("all", |at| at.span(60, 3153600000)),
        hours: table.get("hours", |at| at.number(1, 10000)),
        days: table.get("days", |at| at.number(1, 10000)),
        weeks: table.get("weeks", |at| at.number(1, 10000)),
        months: table.get("months", |at| at.number(1, 10000)),
        years: table.get("years", |at| at.number(1, 1000)),
    };
    table.finish();
    Some(keep)
}

pub(super) fn commands(at: At<'_, '_>) -> Option<QuiesceTable> {
    let table = at.table()?;
    let commands = QuiesceTable {
        instance: table.need("in", string).unwrap_or_default(),
        before: table.get("before", |at| at.many(string)).unwrap_or_default(),
        after: table.get("after", |at| at.many(string)).unwrap_or_default(),
        timeout: table.get("timeout", |at| at.span(1, 3600)),
    };
    table.finish();
    Some(commands)
}

pub(super) fn proof(at: At<'_, '_>) -> Option<Proof> {
    let table = at.table()?;
    let proof = Proof {
        every: table.get("every", |at| at.span(3600, 31536000)),
        read: table.get("read", |at| at.parse(percent)),
    };
    table.finish();
    Some(proof)
}

fn targets(at: At<'_, '_>) -> Option<BTreeMap<String, SnapTarget>> {
    at.entries(label, target)
}

fn jobs(at: At<'_, '_>) -> Option<BTreeMap<String, Job>> {
    at.entries(label, job)
}

/// A keyword, or commands.
fn quiesce(at: At<'_, '_>) -> Option<Quiesce> {
    match at.node.value {
        Value::Map(_) => commands(at).map(Quiesce::Commands),
        _ => at.parse(|text| match text {
            "none" => Ok(Quiesce::None),
            "freeze" => Ok(Quiesce::Freeze),
            "stop" => Ok(Quiesce::Stop),
            _ => Err(Wrong::new(
                format!("`{text}` is not a known value"),
                "write none, freeze, stop, or a map like { in: db, before: [sync] }",
            )),
        }),
    }
}

/// The repository for copies, in restic's format.
fn repository(text: &str) -> Parsed<String> {
    let wrong = || {
        let hint = "sftp:user@host:/path, rest:https://host/name, s3:https://host/bucket or local:/path";
        Wrong::new(format!("`{text}` is not a repository"), hint)
    };
    let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
    let clean = |path: &str| absolute(path).is_ok() && !path.chars().any(char::is_control);
    let good = match kind {
        "local" => clean(rest),
        "rest" | "s3" => url(rest).is_ok(),
        "sftp" => rest.split_once(":/").is_some_and(|(place, path)| {
            let (user, host) = place.rsplit_once('@').unwrap_or(("root", place));
            login(user).is_ok() && login(host).is_ok() && clean(&format!("/{path}"))
        }),
        _ => false,
    };
    if good { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// A path in a volume, with `*`.
fn pattern(text: &str) -> Parsed<String> {
    if text.is_empty() || text.chars().any(char::is_control) || text.split('/').any(|part| part == "..") {
        return Err(Wrong::new(format!("`{text}` is not a path in a volume"), "like cache/* or *.tmp"));
    }
    Ok(text.to_owned())
}

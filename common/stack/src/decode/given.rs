//! What an instance gets in addition to its image: limits, volumes, memory, secrets.

use super::at::{At, string, truth};
use super::words::{absolute, mode};
use crate::model::{Granted, Limits, Mount, Tmpfs};
use crate::tree::Value;
use crate::value::{RLIMITS, Wrong, cpus, rlimit, size};
use std::collections::BTreeMap;

pub(super) fn limits(at: At<'_, '_>) -> Option<Limits> {
    let table = at.table()?;
    let named = |name: &&'static str| Some(((*name).to_owned(), table.get(name, |at| at.parse(rlimit))?));
    let limits = Limits {
        memory: table.get("memory", |at| at.parse(size)),
        cpus: table.get("cpus", |at| at.parse(cpus)),
        processes: table.get("processes", |at| at.number(1, 4_194_304)),
        disk: table.get("disk", |at| at.parse(size)),
        rlimits: RLIMITS.iter().filter_map(named).collect(),
    };
    table.finish();
    Some(limits)
}

/// The path of a volume in an instance: the path alone, or a map.
pub(super) fn mount(at: At<'_, '_>) -> Option<Mount> {
    if !matches!(at.node.value, Value::Map(_)) {
        return at.parse(absolute).map(|path| Mount {
            path,
            read_only: false,
            shared: false,
            owner: None,
            mode: None,
        });
    }
    let table = at.table()?;
    let mount = Mount {
        path: table.need("path", |at| at.parse(absolute)).unwrap_or_default(),
        read_only: table.get("read_only", truth).unwrap_or_default(),
        shared: table.get("shared", truth).unwrap_or_default(),
        owner: table.get("owner", string),
        mode: table.get("mode", |at| at.parse(mode)),
    };
    table.finish();
    Some(mount)
}

/// Folders in memory: a list of paths, or a map from paths to sizes or maps.
pub(super) fn tmpfs(at: At<'_, '_>) -> Option<BTreeMap<String, Tmpfs>> {
    if !matches!(at.node.value, Value::Map(_)) {
        let paths = at.many(|at| at.parse(absolute))?;
        return Some(paths.into_iter().map(|path| (path, Tmpfs::default())).collect());
    }
    let path = |at: At<'_, '_>, key: &str| {
        if let Err(Wrong { message, hint }) = absolute(key) {
            at.key_wrong(Wrong { message, hint });
        }
    };
    at.entries(path, |at| {
        if at.node.text().is_some() {
            return at.parse(size).map(|size| Tmpfs { size: Some(size), mode: None });
        }
        let table = at.table()?;
        let tmpfs = Tmpfs {
            size: table.get("size", |at| at.parse(size)),
            mode: table.get("mode", |at| at.parse(mode)),
        };
        table.finish();
        Some(tmpfs)
    })
}

/// A secret: its name alone, or a map.
pub(super) fn secret(at: At<'_, '_>) -> Option<Granted> {
    if !matches!(at.node.value, Value::Map(_)) {
        return string(at).map(|name| Granted { name, owner: None, mode: None });
    }
    let table = at.table()?;
    let secret = Granted {
        name: table.need("name", string).unwrap_or_default(),
        owner: table.get("owner", string),
        mode: table.get("mode", |at| at.parse(mode)),
    };
    table.finish();
    Some(secret).filter(|secret| !secret.name.is_empty())
}

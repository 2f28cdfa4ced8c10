//! The services of a stack that run on this host, of whatever tool: found by the locks of their supervisors, each of which names
//! what it supervises.

use crate::fleet::BOOT;
use crate::host::{limit, lock};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Run-time files. The lock of a service is below, in a folder of its stack: `/run/lsx/ct/STACK` or `/run/lsx/STACK/dns`.
const ROOT: &str = "/run/lsx";
/// The most bytes of a lock that are read.
const TEXT: u64 = 1024;

/// A service that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The tool that removes it: `ct`.
    pub(crate) tool: String,
    /// What it is: `instance web-1`.
    pub(crate) name: String,
}

/// The services of a stack that run here and need what this tool makes: those of tools whose boot entries have a higher number.
/// A tool without a boot entry counts as one of them.
pub(crate) fn above(stack: &str, than: &str, order: u8) -> Vec<Running> {
    let entries = inside(Path::new(BOOT));
    let names: Vec<&str> = entries.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let number = |tool: &str| {
        let end = format!("-{stack}-{tool}");
        names.iter().find_map(|name| name.strip_suffix(&end)?.parse::<u8>().ok())
    };
    let mut all = among(Path::new(ROOT), stack);
    all.retain(|one| one.tool != than && number(&one.tool).is_none_or(|number| number > order));
    all
}

/// All of a stack.
fn among(root: &Path, stack: &str) -> Vec<Running> {
    let named = |path: &Path| path.file_name().is_some_and(|name| name == stack);
    let folders = inside(root).into_iter().flat_map(|above| {
        let whole = named(&above);
        inside(&above).into_iter().filter(move |folder| whole || named(folder))
    });
    let locks = folders.flat_map(|folder| inside(&folder));
    let mut all: Vec<Running> = locks.filter_map(|path| supervised(&path, stack)).collect();
    all.sort();
    all
}

/// What the supervisor that holds a lock supervises; none if nobody holds it, or for another stack.
fn supervised(path: &Path, stack: &str) -> Option<Running> {
    let (_, tool) = path.file_name()?.to_str()?.strip_suffix(".lock")?.rsplit_once('.')?;
    let file = lock::plain(path).ok()?;
    let text = limit::read(file, TEXT, "a lock").ok()?;
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().nth(1)?.strip_suffix(&format!(" of stack {stack}"))?;
    lock::held(path).then(|| Running { tool: tool.to_owned(), name: name.to_owned() })
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;
    use crate::host::service::Service;

    #[test]
    fn what_runs_is_found_by_the_lock_of_its_supervisor() {
        let temp = tempfile::tempdir().unwrap();
        let service = |folder: &str, name: &str, tool, stack: &str| Service {
            name: name.to_owned(),
            tool,
            root: temp.path().join(folder),
            state: temp.path().join("state.json"),
            unit: format!("lsx-{stack}.{name}"),
            about: format!("instance {name} of stack {stack}"),
        };
        let names = |stack: &str| -> Vec<String> {
            among(temp.path(), stack).into_iter().map(|one| format!("{} {}", one.tool, one.name)).collect()
        };
        let web = service("ct/office", "web.1", "ct", "office").take_lock().unwrap();
        let dns = service("office/dns", "server", "dns", "office").take_lock().unwrap();
        // A stack with the name of a tool's folder, and another one whose name ends alike.
        let odd = service("ct/x", "db", "ct", "x").take_lock().unwrap();
        let other = service("ct/an-office", "web", "ct", "an-office").take_lock().unwrap();
        std::fs::write(temp.path().join("ct/office/old.ct.lock"), "1\ninstance old of stack office\n")
            .unwrap();
        assert_eq!(names("office"), ["ct instance web.1", "dns instance server"]);
        assert_eq!((names("ct"), names("x")), (vec![], vec!["ct instance db".to_owned()]));
        drop((web, odd, other));
        assert_eq!(names("office"), ["dns instance server"]);
        drop(dns);
        assert_eq!(names("office"), [""; 0]);
    }
}

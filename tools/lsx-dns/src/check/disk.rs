//! Whether servers can write their journals: a full disk, or one that has become read-only, is told before the next change is lost.

use crate::Dns;
use crate::model::{BOOT, Key, NAMES};
use crate::plan;
use common::fleet;
use common::plan::Kept;
use common::tool::{Checked, Each, Finding, Goal, PlanInput, Tool as _};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, fsync, open, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The bytes that must be free for a server, which has none of those that are kept for root.
const LEAST: u64 = 64 * 1024;

/// Which servers of a stack have a journal on a host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    stack: String,
    servers: Vec<String>,
}

/// A journal that cannot be written: its folder, and why.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    path: String,
    why: String,
}

/// Asks the hosts.
pub(super) fn check(input: &PlanInput<BTreeMap<String, Key>>, each: Each<'_>, checked: &mut Checked) {
    let Goal::Up(stack, resolved) = &input.goal else { return };
    let ask = |host: &String| {
        let config = plan::config(stack, resolved, host, &[]);
        let boot = plan::dhcp::of(stack, resolved, host).and_then(|dhcp| dhcp.boot);
        let names = config.is_some_and(|config| config.changes()).then_some(NAMES);
        let boots = boot.is_some_and(|boot| boot.once).then_some(BOOT);
        let servers: Vec<String> = names.into_iter().chain(boots).map(str::to_owned).collect();
        (!servers.is_empty()).then(|| (host.clone(), Ask { stack: input.stack.clone(), servers }))
    };
    let asks: BTreeMap<String, Ask> = input.hosts.iter().filter_map(|host| ask(&host.name)).collect();
    let inputs = asks.iter().map(|(host, ask)| (host.clone(), json!(ask))).collect();
    for (host, answer) in each("disk", inputs) {
        let all = match answer.and_then(|told| Ok(fleet::shape::<Vec<Told>>(told)?)) {
            Ok(all) => all,
            Err(failures) => {
                checked.found(finding(&host, failures.to_string(), None));
                continue;
            }
        };
        let asked = asks.get(&host).map_or(0, |ask| ask.servers.len());
        (all.len()..asked).for_each(|_| checked.passed());
        for Told { path, why } in all {
            let message = format!("the server on {host} cannot write its journal in {path}: {why}");
            checked.row(json!({"host": host, "server": path, "why": message}));
            let hint =
                "until it can, changes are refused: make room on this disk, or see why it is read-only";
            checked.found(finding(&host, message, Some(hint.to_owned())));
        }
    }
}

fn finding(host: &str, message: String, hint: Option<String>) -> Finding {
    Finding { code: "dns.journal".to_owned(), host: host.to_owned(), message, hint }
}

/// The journals of this host that cannot be written.
pub(super) fn told(ask: &Ask) -> Vec<Told> {
    let Kept::Data { path } = Kept::data(Dns::NAME, &ask.stack) else { return Vec::new() };
    let one = |server: &String| {
        let path: PathBuf = Path::new(&path).join(server);
        // A server that was never started is told by the plan.
        if !path.exists() {
            return None;
        }
        let why = written(&path).err()?;
        Some(Told { path: path.display().to_string(), why: why.to_string() })
    };
    ask.servers.iter().filter_map(one).collect()
}

/// Writes a file without a name in a folder, of which nothing is left.
fn written(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder: OwnedFd = open(path, flags, Mode::empty())?;
    let told = fstatvfs(&folder)?;
    if told.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(Errno::ROFS.into());
    }
    if told.f_bavail.saturating_mul(told.f_frsize) < LEAST {
        return Err(Errno::NOSPC.into());
    }
    let file = match openat(&folder, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR) {
        Ok(file) => file,
        // Some file systems have no such files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    let mut file = File::from(file);
    file.write_all(&[0; 4096])?;
    Ok(fsync(&file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_written_is_left_as_it_was() {
        let at = tempfile::tempdir().unwrap();
        written(at.path()).unwrap();
        assert_eq!(std::fs::read_dir(at.path()).unwrap().count(), 0);
        assert!(written(&at.path().join("none")).is_err());
        // The kernel's own file systems take no files.
        assert!(written(Path::new("/proc/self")).is_err());
    }
}

//! Programs that were started in instances through a server, found by a variable that they inherit. The server cannot cancel a
//! recorded run, but its programs are processes of this host.

use common::host::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};

/// The variable: process, number, purpose.
pub(crate) const MARK: &str = "LSX_EXEC";

/// Kills the processes beside the first process of an instance that have such a mark, and those that a marked command of the
/// server started, which may have removed the variable. Returns their number.
pub(crate) fn kill_beside(init: u32, ends: &dyn Fn(&str) -> bool) -> usize {
    let inside: BTreeSet<i32> = process::beside(&init.to_string()).into_iter().collect();
    let mut meant: BTreeSet<i32> = inside.iter().copied().filter(|pid| has(*pid, "environ", ends)).collect();
    // The command line of the server's or its client's process; one inside the instance could write anything into its own.
    let parents: BTreeMap<i32, i32> = inside.iter().filter_map(|pid| Some((*pid, parent(*pid)?))).collect();
    let starter = |pid: &i32| !inside.contains(pid) && process::of_root(*pid) && has(*pid, "cmdline", ends);
    let starters: BTreeSet<i32> =
        parents.values().copied().collect::<BTreeSet<i32>>().into_iter().filter(starter).collect();
    let mut more = true;
    while more {
        let below = |(pid, parent): (&i32, &i32)| {
            (starters.contains(parent) || meant.contains(parent)).then_some(*pid)
        };
        let children: Vec<i32> =
            parents.iter().filter_map(below).filter(|pid| !meant.contains(pid)).collect();
        more = !children.is_empty();
        meant.extend(children);
    }
    for pid in &meant {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    meant.len()
}

/// Whether a file of a process (its environment, or the arguments of a client) has the variable with a value that `ends` accepts.
fn has(pid: i32, file: &str, ends: &dyn Fn(&str) -> bool) -> bool {
    let marked = |text: &[u8]| {
        let text = std::str::from_utf8(text).ok();
        text.and_then(|text| text.strip_prefix(MARK)?.strip_prefix('=')).is_some_and(ends)
    };
    std::fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|all| all.split(|byte| *byte == 0).any(marked))
}

/// The parent of a process (proc_pid_stat(5)).
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

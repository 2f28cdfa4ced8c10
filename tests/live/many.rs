//! Many runs in a row: nothing grows with their number, on the hosts or where the commands are typed.

use crate::held::small;
use crate::kernel::{difference, snapshot};
use lsx_tests::lab::{Lab, finish};
use std::collections::BTreeSet;
use std::process::Command;

pub(crate) const CASES: &[crate::Case] =
    &[("many_runs_leave_no_more_than_one", many_runs_leave_no_more_than_one)];

/// `LSX_RUNS` sets another number.
const RUNS: usize = 12;

/// What the runs left here: connections to this lab with their files, and temporary files.
fn here(lab: &Lab) -> BTreeSet<String> {
    let script = "ps -eo pid=,args= | grep -F \"/$0/ssh_config\" | grep -v grep | tee /dev/stderr |
            grep -o ' -S [^ ]*' | while read -r _ socket; do ls $socket*; done
        find \"$1\" /tmp/.lsx-* 2>/dev/null";
    let folder = lab.folder.path().display().to_string();
    let ran = finish(Command::new("sh").args(["-c", script, &lab.name, &folder]), b"");
    ran.stdout.lines().chain(ran.stderr.lines()).map(str::to_owned).collect()
}

/// Files and descriptors that the programs of a host have open, by program.
fn open(lab: &Lab, host: &str) -> String {
    let script = "for process in $(ps -eo pid= -o args= | awk '/sshd|lsx/ && !/awk/ { print $1 }'); do
        ls /proc/$process/fd 2>/dev/null | wc -l; done | sort | uniq -c";
    lab.script(host, script).ok().stdout
}

fn many_runs_leave_no_more_than_one(lab: &Lab) {
    let runs = std::env::var("LSX_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(RUNS);
    let stack = small(lab);
    let once = || {
        assert_eq!(lab.net(&["up", &stack.file]).ok().json()["status"]["net"]["changed"], 0);
        lab.net(&["observe", &stack.file]).ok();
    };
    once();
    let before = ["h1", "h2"].map(|host| (snapshot(lab, host), open(lab, host)));
    let mine = here(lab);
    assert!(mine.iter().any(|line| line.contains(" -M ")), "a connection of each host stays open: {mine:?}");
    (0..runs).for_each(|_| once());
    let after = ["h1", "h2"].map(|host| (snapshot(lab, host), open(lab, host)));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(difference(&before.0, &after.0), "");
        assert_eq!(before.1, after.1);
    }
    assert_eq!(difference(&mine, &here(lab)), "");
    stack.detach(lab);
    stack.down(lab, &[]);
}

//! The virtual machine as a test host: tools, one runtime, a stack that is up, and the kernel's values.

use lsx_tests::lab::{Ran, finish, stripped};
use lsx_tests::top;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian has its runtimes.
const CRUN: &str = "/usr/bin/crun";

/// See the first line of this file.
pub(crate) struct Host {
    pub(crate) cgroups: &'static str,
    pub(crate) runtime: &'static str,
    folder: PathBuf,
    /// The state before the first `up`.
    before: BTreeSet<String>,
}

/// A folder of this machine with what the others need: the tools, and an image.
pub(crate) fn furnished() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("lsx-vm-").tempdir().unwrap();
    let tools = lsx_tests::tools();
    for tool in tools.iter().filter(|t| ["lsx-net", "lsx-ct"].contains(&t.name.as_str())) {
        stripped(folder.path(), &tool.path);
    }
    finish(Command::new(top("scripts/images")).arg(folder.path()), b"").ok();
    folder
}

impl Host {
    /// In the machine: a host that has this runtime and not the one that would be preferred; with the stack of
    /// [`crate::limits::INSTANCES`] up if it is needed.
    pub(crate) fn up(cgroups: &str, runtime: &'static str, folder: &Path, needed: bool) -> Host {
        // Beside the images: Debian's kernel cannot shift ids on the file system of this machine's files.
        let own = PathBuf::from("/mnt/vm");
        if !own.exists() {
            fs::create_dir(&own).unwrap();
            for file in ["lsx-net", "lsx-ct", "busybox.tar"] {
                fs::copy(folder.join(file), own.join(file)).unwrap();
            }
        }
        let cgroups = if cgroups == "v2" { "v2" } else { "v1" };
        let host = Host { cgroups, runtime, folder: own, before: BTreeSet::new() };
        if runtime == "runc" {
            host.run("mount", &["--bind", "/dev/null", CRUN]).ok();
        } else {
            host.run("umount", &["-q", CRUN]);
        }
        let before = host.snapshot();
        if needed {
            let file = host.stack("vm", crate::limits::INSTANCES);
            host.comes_up(&file);
        }
        Host { before, ..host }
    }

    /// From now on this host has the preferred runtime, too.
    pub(crate) fn install_crun(&self) {
        self.run("umount", &[CRUN]).ok();
    }

    /// Writes a document and gives its path.
    pub(crate) fn stack(&self, name: &str, rest: &str) -> String {
        let image = self.folder.join("busybox.tar").display().to_string();
        let text = format!(
            "stack: {name}\nhosts: {{ h1: {{ address: 198.18.0.11, local: true }} }}\n\
             images: {{ bb: {{ oci: \"tar:{image}\" }} }}\n{rest}"
        );
        let path = self.folder.join(format!("{name}.yaml"));
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Ran {
        finish(Command::new(program).args(args), b"")
    }

    pub(crate) fn ct(&self, args: &[&str]) -> Ran {
        self.run(&self.folder.join("lsx-ct").display().to_string(), args)
    }

    /// `up` until it says that all is ready: on an emulated processor that others use, a start may take longer than it waits.
    #[track_caller]
    pub(crate) fn comes_up(&self, file: &str) {
        let tries = (0..5).map(|_| self.ct(&["up", "-q", file]));
        let mut last = None;
        assert!(tries.inspect(|ran| last = Some(ran.stderr.clone())).any(|ran| ran.code == 0), "{last:?}");
    }

    pub(crate) fn net(&self, args: &[&str]) -> Ran {
        self.run(&self.folder.join("lsx-net").display().to_string(), args)
    }

    /// The supervisor's record of an instance.
    pub(crate) fn said(&self, name: &str) -> Value {
        Self::kept(name, "state")
    }

    /// What made its container.
    pub(crate) fn maker(&self, name: &str) -> Value {
        Self::kept(name, "runtime")
    }

    fn kept(name: &str, what: &str) -> Value {
        let text = fs::read_to_string(format!("/run/lsx/ct/vm/{name}/{what}.json")).unwrap_or_default();
        text.parse().unwrap_or_default()
    }

    /// Its first process.
    #[track_caller]
    pub(crate) fn pid(&self, name: &str) -> u64 {
        let said = self.said(name);
        said["pid"].as_u64().unwrap_or_else(|| panic!("{name} has no process: {said}"))
    }

    /// All that `observe` says of an instance.
    #[track_caller]
    pub(crate) fn seen(&self, name: &str) -> Value {
        let all = self.ct(&["observe"]).ok().json();
        let found = all["instances"].as_array().unwrap().iter().find(|i| i["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no {name} in {all}"))
    }

    /// A file of the control group that a process is in: of `(controller, file)` on v1, of v2.
    #[track_caller]
    pub(crate) fn group(&self, pid: u64, v1: (&str, &str), v2: &str) -> String {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let (controller, file) = if self.cgroups == "v2" { ("", v2) } else { v1 };
        let mut lines = groups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
        let line = lines.find(|line| line[1].split(',').any(|c| c == controller)).unwrap();
        let path = format!("/sys/fs/cgroup/{}{}/{file}", line[1], line[2]);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")).trim().to_owned()
    }

    /// Memory with swap, quota of processors, and processes as the kernel limits them.
    #[track_caller]
    pub(crate) fn limits(&self, name: &str) -> [String; 4] {
        let pid = self.pid(name);
        let quota = self.group(pid, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
        [
            self.group(pid, ("memory", "memory.limit_in_bytes"), "memory.max"),
            self.group(pid, ("memory", "memory.memsw.limit_in_bytes"), "memory.swap.max"),
            quota.split(' ').next().unwrap().to_owned(),
            self.group(pid, ("pids", "pids.max"), "pids.max"),
        ]
    }

    /// A line `WORD NUMBER` of such a file.
    #[track_caller]
    pub(crate) fn count(&self, pid: u64, controller: &str, file: &str, word: &str) -> u64 {
        let text = self.group(pid, (controller, file), file);
        text.lines()
            .find_map(|l| l.strip_prefix(word)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("{text}"))
    }

    /// Everything that `down` must restore.
    pub(crate) fn snapshot(&self) -> BTreeSet<String> {
        const SCRIPT: &str = "exec 2>/dev/null
            find /sys/fs/cgroup -type d
            find /run/lsx /etc/lsx /var/lib/lsx -path /var/lib/lsx/images -prune -o -path /var/lib/lsx/bin -prune -o -print
            cut -d' ' -f5- /proc/self/mountinfo
            ls /sys/class/net
            nft list ruleset
            ps -eo args= | grep -E 'lsx-ct|lsx-net|sleep 1000' | grep -v -e inside -e grep
            true";
        let all = self.run("sh", &["-c", SCRIPT]).ok().stdout;
        all.lines().filter(|line| !line.contains(CRUN)).map(str::to_owned).collect()
    }

    /// Nothing was added since the first `up`, and nothing removed.
    #[track_caller]
    pub(crate) fn same(&self) {
        let after = self.snapshot();
        let come: Vec<_> = after.difference(&self.before).collect();
        let gone: Vec<_> = self.before.difference(&after).collect();
        assert!(come.is_empty() && gone.is_empty(), "come {come:#?}, gone {gone:#?}");
    }
}

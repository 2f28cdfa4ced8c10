//! Control groups, on v1, hybrid and v2 hosts: those of an instance, their values, and their removal.

use common::{Failure, Kind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// The second hierarchy of a hybrid host: it has no controllers, and runtimes do not use it.
const HYBRID: &str = "/sys/fs/cgroup/unified";

/// The group of an instance, below the root of every hierarchy: it has the limits of container and supervisor together.
pub(crate) fn name(stack: &str, instance: &str) -> String {
    format!("/lsx/{stack}/{instance}")
}

/// The group of its container. The runtime creates and removes it.
pub(crate) fn inner(stack: &str, instance: &str) -> String {
    format!("{}/in", name(stack, instance))
}

/// `v2`, `hybrid` or `v1`. A host stays what it is until it is booted again.
pub(crate) fn kind() -> &'static str {
    static KIND: OnceLock<&str> = OnceLock::new();
    let there = |folder: &str, file: &str| Path::new(folder).join(file).exists();
    KIND.get_or_init(|| match (there(ROOT, "cgroup.controllers"), there(HYBRID, "cgroup.procs")) {
        (true, _) => "v2",
        (_, true) => "hybrid",
        _ => "v1",
    })
}

/// The supervisor's own group, beside the instance's: inside, it would keep the runtime from removing that.
fn own(stack: &str, instance: &str) -> String {
    format!("{}.own", name(stack, instance))
}

/// On a hybrid host, moves this process into its own group in the second hierarchy, where its children are then, too.
/// Otherwise an init in the instance would create groups at the root of the host.
pub(crate) fn enter(stack: &str, instance: &str) -> Result<(), Failure> {
    if kind() != "hybrid" {
        return Ok(());
    }
    let folder = PathBuf::from(format!("{HYBRID}{}", own(stack, instance)));
    let entered = std::fs::create_dir_all(&folder).and_then(|()| put(&folder.join("cgroup.procs"), "0"));
    entered.map_err(|e| {
        let message = format!("cannot enter {}: {e}", folder.display());
        Failure::new(Kind::Failed, "ct.oci.group", message)
    })
}

/// Delegates groups to an instance that is a whole system, since systemd creates one for each service. Hierarchies with
/// controllers are not delegated on v1, where this is not safe (systemd's CGROUP_DELEGATION).
pub(crate) fn delegate(stack: &str, instance: &str, first: u32) {
    let roots = match kind() {
        "v2" => vec![ROOT.to_owned()],
        _ => vec![format!("{ROOT}/systemd"), HYBRID.to_owned()],
    };
    for root in roots {
        let group = PathBuf::from(format!("{root}{}", inner(stack, instance)));
        for file in ["", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"] {
            let path = if file.is_empty() { group.clone() } else { group.join(file) };
            let _ = std::os::unix::fs::chown(path, Some(first), Some(first));
        }
    }
}

/// The hierarchies in which a supervisor is in its instance's group.
pub(super) fn counted() -> Vec<String> {
    if kind() == "v2" {
        return vec![ROOT.to_owned()];
    }
    let there = |name: &&&str| Path::new(ROOT).join(name).join("cgroup.procs").exists();
    ["cpu", "cpuacct", "memory"].iter().filter(there).map(|name| format!("{ROOT}/{name}")).collect()
}

/// The group of this process before it joined that of an instance.
#[derive(Debug, Default)]
pub(crate) struct Before(Vec<PathBuf>);

/// Joins an instance's group: the work of the supervisor for the instance, such as its log, then counts towards the
/// instance's memory and CPU. If the kernel refuses, it continues without.
pub(crate) fn join(stack: &str, instance: &str) -> Before {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut before = Vec::new();
    for root in counted() {
        let controller = Path::new(&root).file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let line = |line: &str| -> Option<String> {
            let mut parts = line.splitn(3, ':').skip(1);
            let (names, path) = (parts.next()?, parts.next()?);
            let meant =
                if kind() == "v2" { names.is_empty() } else { names.split(',').any(|n| n == controller) };
            meant.then(|| path.to_owned())
        };
        let was = own.lines().find_map(line).unwrap_or_default();
        let folder = PathBuf::from(format!("{root}{}/own", name(stack, instance)));
        let joined = std::fs::create_dir_all(&folder).and_then(|()| put(&folder.join("cgroup.procs"), "0"));
        match joined {
            Ok(()) => before.push(PathBuf::from(format!("{root}{was}"))),
            Err(e) => tracing::warn!("cannot enter {}: {e}", folder.display()),
        }
    }
    Before(before)
}

/// Leaves the group: stopping an instance must not wait for CPU time that the instance uses up.
pub(crate) fn leave(before: &mut Before) {
    for folder in before.0.drain(..) {
        let back = put(&folder.join("cgroup.procs"), "0");
        if back.is_err() {
            // Its previous group may be gone, as that of an ended session; the hierarchy's root always exists.
            let root = if kind() == "v2" { 4 } else { 5 };
            let root: PathBuf = folder.components().take(root).collect();
            let _ = put(&root.join("cgroup.procs"), "0");
        }
    }
}

pub(super) fn put(path: &Path, word: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).open(path)?;
    std::io::Write::write_all(&mut file, word.as_bytes())
}

/// The roots of all hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    if kind() == "v2" {
        return vec![PathBuf::from(ROOT)];
    }
    let entries = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// How long to wait for the kernel to release killed processes, which keep their group.
const FORGOTTEN: Duration = Duration::from_secs(2);

/// Removes an instance's groups, deepest first, and empty parents. A group with processes is kept.
pub(crate) fn remove(stack: &str, instance: &str) {
    let groups = [name(stack, instance), own(stack, instance)];
    let hierarchies = hierarchies();
    let all = || hierarchies.iter().flat_map(|h| groups.iter().map(move |g| format!("{}{g}", h.display())));
    // A process that ends releases its locks before it leaves its group.
    common::host::wait::until(FORGOTTEN, Duration::from_millis(2), || {
        all().for_each(|folder| deepest_first(Path::new(&folder)));
        !all().any(|folder| Path::new(&folder).exists())
    });
    for root in &hierarchies {
        common::host::file::remove_empty(&root.join("lsx").join(stack));
    }
    hierarchies.iter().for_each(|root| common::host::file::remove_empty(&root.join("lsx")));
}

/// All instances that have a group in any hierarchy, as stack and name.
pub(super) fn all() -> Vec<(String, String)> {
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for root in hierarchies().iter().map(|root| root.join("lsx")) {
        for stack in below(&root).into_iter().filter(|stack| !stack.starts_with('.')) {
            let names = below(&root.join(&stack)).into_iter();
            all.extend(names.map(|name| (stack.clone(), name.trim_end_matches(".own").to_owned())));
        }
    }
    all
}

/// The processes in an instance's groups and below.
pub(super) fn processes(stack: &str, instance: &str) -> std::collections::BTreeSet<i32> {
    let mut left: Vec<PathBuf> = hierarchies()
        .iter()
        .flat_map(|root| {
            [name(stack, instance), own(stack, instance)].map(|group| format!("{}{group}", root.display()))
        })
        .map(PathBuf::from)
        .collect();
    let mut all = std::collections::BTreeSet::new();
    while let Some(group) = left.pop() {
        let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        all.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|process| *process > 0));
        let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
        left.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    all
}

/// The processes of its container, without the supervisor and its programs.
pub(crate) fn contained(stack: &str, instance: &str) -> std::collections::BTreeSet<i32> {
    let group = inner(stack, instance);
    let mut all = processes(stack, instance);
    all.retain(|process| {
        let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        groups
            .lines()
            .any(|line| line.splitn(3, ':').nth(2).is_some_and(|path| Path::new(path).starts_with(&group)))
    });
    all
}

/// Freezes or thaws all processes of a container; returns whether that worked. Frozen processes do not react to signals.
pub(crate) fn freeze(stack: &str, instance: &str, held: bool) -> bool {
    let group = inner(stack, instance);
    let (path, word) = match (kind(), held) {
        ("v2", _) => (format!("{ROOT}{group}/cgroup.freeze"), if held { "1" } else { "0" }),
        _ => (format!("{ROOT}/freezer{group}/freezer.state"), if held { "FROZEN" } else { "THAWED" }),
    };
    put(Path::new(&path), word).is_ok()
}

fn deepest_first(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            deepest_first(&entry.path());
        }
    }
    common::host::file::remove_empty(folder);
}

/// A number from a file of a group: `(v1 controller, v1 file)` or the file of v2.
pub(super) fn number(group: &str, v1: (&str, &str), v2: &str) -> Option<u64> {
    read(group, v1, v2)?.trim().parse().ok()
}

fn read(group: &str, v1: (&str, &str), v2: &str) -> Option<String> {
    let path = match kind() {
        "v2" => format!("{ROOT}{group}/{v2}"),
        _ => format!("{ROOT}/{}{group}/{}", v1.0, v1.1),
    };
    std::fs::read_to_string(path).ok()
}

/// A line `word number` of such a file.
fn word(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

/// How often the kernel killed one of its processes because it was out of memory.
pub(crate) fn oom_kills(stack: &str, instance: &str) -> u64 {
    // The kernel counts in the group of the killed process.
    let text = read(&inner(stack, instance), ("memory", "memory.oom_control"), "memory.events");
    word(&text.unwrap_or_default(), "oom_kill ").unwrap_or_default()
}

/// CPU time in milliseconds, memory in bytes, number of processes.
pub(crate) fn usage(stack: &str, instance: &str) -> (u64, u64, u64) {
    let group = name(stack, instance);
    let cpu = match kind() {
        "v2" => read(&group, ("", ""), "cpu.stat").and_then(|t| word(&t, "usage_usec ")).map(|us| us / 1000),
        _ => number(&group, ("cpuacct", "cpuacct.usage"), "").map(|ns| ns / 1_000_000),
    };
    let memory = number(&group, ("memory", "memory.usage_in_bytes"), "memory.current");
    let processes = number(&inner(stack, instance), ("pids", "pids.current"), "pids.current");
    (cpu.unwrap_or_default(), memory.unwrap_or_default(), processes.unwrap_or_default())
}

/// Bytes received and sent on all interfaces of a process's network namespace, except loopback.
pub(super) fn traffic(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let lines = text.lines().filter_map(|l| l.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    lines.fold((0, 0), |sum, (_, numbers)| {
        let numbers: Vec<u64> = numbers.split_whitespace().map(|n| n.parse().unwrap_or_default()).collect();
        let at = |n: usize| numbers.get(n).copied().unwrap_or_default();
        (sum.0 + at(0), sum.1 + at(8))
    })
}

//! Control groups, on v1, hybrid and v2 hosts alike: where an instance's are, what they say, and their removal.

use crate::model::Limits;
use common::{Failure, Kind};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// The second hierarchy of a hybrid host: without controllers, and no runtime puts its containers there.
const HYBRID: &str = "/sys/fs/cgroup/unified";

/// The group of an instance, below the root of every hierarchy: its limits hold here, for its container and its supervisor together.
pub(crate) fn name(stack: &str, instance: &str) -> String {
    format!("/lsx/{stack}/{instance}")
}

/// The group of its container. The runtime makes and removes it.
pub(crate) fn inner(stack: &str, instance: &str) -> String {
    format!("{}/in", name(stack, instance))
}

/// `v2`, `hybrid` or `v1`.
pub(crate) fn kind() -> &'static str {
    match (
        Path::new(ROOT).join("cgroup.controllers").exists(),
        Path::new(HYBRID).join("cgroup.procs").exists(),
    ) {
        (true, _) => "v2",
        (_, true) => "hybrid",
        _ => "v1",
    }
}

/// The supervisor's own group, beside the instance's: in that one it would keep the runtime from removing it.
fn own(stack: &str, instance: &str) -> String {
    format!("{}.own", name(stack, instance))
}

/// On a hybrid host, takes this process into a group of its own in the second hierarchy: what it starts is there, too. Else an
/// init in the instance would make its groups at the root of the host.
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

/// Gives an instance that is a whole system its own groups where an init keeps its processes: systemd makes one for each service.
/// Hierarchies with controllers stay the host's on v1, where they cannot be delegated (systemd's CGROUP_DELEGATION).
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

/// Makes an instance's group with its limits on memory and processors, before there is a container in it.
///
/// # Errors
/// What the kernel refused.
pub(crate) fn hold(stack: &str, instance: &str, limits: &Limits) -> Result<(), Failure> {
    let group = name(stack, instance);
    for root in counted() {
        let made = std::fs::create_dir_all(format!("{root}{group}"));
        made.map_err(|e| {
            let message = format!("cannot make the control group {root}{group}: {e}");
            Failure::new(Kind::Failed, "ct.oci.group", message)
        })?;
        if kind() == "v2" {
            // From the root down, for each hands its controllers to those below it; what the kernel lacks is not missed here.
            for above in Path::new(&group).ancestors().collect::<Vec<_>>().iter().rev() {
                let file = format!("{root}{}/cgroup.subtree_control", above.display());
                ["+cpu", "+memory", "+pids"].iter().for_each(|word| _ = put(Path::new(&file), word));
            }
        }
    }
    super::limits::bound(&group, limits)
}

/// The hierarchies in which a supervisor counts to its instance.
fn counted() -> Vec<String> {
    if kind() == "v2" {
        return vec![ROOT.to_owned()];
    }
    let there = |name: &&&str| Path::new(ROOT).join(name).join("cgroup.procs").exists();
    ["cpu", "cpuacct", "memory"].iter().filter(there).map(|name| format!("{ROOT}/{name}")).collect()
}

/// Where this process was before it counted to an instance.
#[derive(Debug, Default)]
pub(crate) struct Before(Vec<PathBuf>);

/// From here on this process counts to an instance, with all that it starts: what the instance makes it do, as by a flood of
/// lines, takes from the instance's own memory and processors. Where the kernel refuses, it goes on as it is.
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

/// Counts to it no more: who ends an instance must not wait for the processors that the instance keeps busy.
pub(crate) fn leave(before: &mut Before) {
    for folder in before.0.drain(..) {
        let back = put(&folder.join("cgroup.procs"), "0");
        if back.is_err() {
            // Its group went meanwhile, as that of a session that has ended; the hierarchy's root is always there.
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

/// Every hierarchy's root.
fn hierarchies() -> Vec<PathBuf> {
    if kind() == "v2" {
        return vec![PathBuf::from(ROOT)];
    }
    let entries = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// How long the kernel has to forget processes that were killed; until then it keeps their group.
const FORGOTTEN: Duration = Duration::from_secs(2);

/// Removes an instance's groups, deepest first, and those above it that are empty then. Whoever is in one keeps it.
pub(crate) fn remove(stack: &str, instance: &str) {
    let groups = [name(stack, instance), own(stack, instance)];
    let hierarchies = hierarchies();
    let all = || hierarchies.iter().flat_map(|h| groups.iter().map(move |g| format!("{}{g}", h.display())));
    // A process that ends gives back its locks before it leaves its group.
    common::host::wait::until(FORGOTTEN, Duration::from_millis(2), || {
        all().for_each(|folder| deepest_first(Path::new(&folder)));
        !all().any(|folder| Path::new(&folder).exists())
    });
    for root in &hierarchies {
        common::host::file::remove_empty(&root.join("lsx").join(stack));
    }
    hierarchies.iter().for_each(|root| common::host::file::remove_empty(&root.join("lsx")));
}

/// Every instance that has a group on some hierarchy, as stack and name.
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

/// The processes in an instance's groups, and in those below.
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

/// The processes of its container: the supervisor and what that runs are not among them.
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

/// Holds all processes of a container, or lets them go on; whether the kernel can. None of them hears a signal meanwhile.
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

/// How often the kernel ended one of its processes for want of memory.
pub(crate) fn oom_kills(stack: &str, instance: &str) -> u64 {
    // The kernel counts for the group whose process it ended.
    let text = read(&inner(stack, instance), ("memory", "memory.oom_control"), "memory.events");
    word(&text.unwrap_or_default(), "oom_kill ").unwrap_or_default()
}

/// Milliseconds on processors, bytes of memory, processes.
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

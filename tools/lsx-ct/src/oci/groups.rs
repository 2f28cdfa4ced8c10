//! Control groups, on v1, hybrid and v2 hosts alike: where an instance's are, what they say, and their removal.

use crate::model::Limits;
use crate::render::bundle::{PERIOD_US, quota_us};
use common::{Failure, Kind};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROOT: &str = "/sys/fs/cgroup";
/// The second hierarchy of a hybrid host: without controllers, and no runtime puts its containers there.
const HYBRID: &str = "/sys/fs/cgroup/unified";

/// The group of an instance, below the root of every hierarchy.
pub(crate) fn name(stack: &str, instance: &str) -> String {
    format!("/lsx/{stack}/{instance}")
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
    let enter = || {
        std::fs::create_dir_all(&folder)?;
        let mut procs = std::fs::File::options().write(true).open(folder.join("cgroup.procs"))?;
        std::io::Write::write_all(&mut procs, b"0")
    };
    enter().map_err(|e| {
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
        let group = PathBuf::from(format!("{root}{}", name(stack, instance)));
        for file in ["", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"] {
            let path = if file.is_empty() { group.clone() } else { group.join(file) };
            let _ = std::os::unix::fs::chown(path, Some(first), Some(first));
        }
    }
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

fn deepest_first(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            deepest_first(&entry.path());
        }
    }
    common::host::file::remove_empty(folder);
}

/// A number from a file of an instance's group: `(v1 controller, v1 file)` or the file of v2.
fn number(stack: &str, instance: &str, v1: (&str, &str), v2: &str) -> Option<u64> {
    read(stack, instance, v1, v2)?.trim().parse().ok()
}

fn read(stack: &str, instance: &str, v1: (&str, &str), v2: &str) -> Option<String> {
    let group = name(stack, instance);
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
    let text = read(stack, instance, ("memory", "memory.oom_control"), "memory.events").unwrap_or_default();
    word(&text, "oom_kill ").unwrap_or_default()
}

/// Milliseconds on processors, bytes of memory, processes.
pub(crate) fn usage(stack: &str, instance: &str) -> (u64, u64, u64) {
    let cpu = match kind() {
        "v2" => read(stack, instance, ("", ""), "cpu.stat")
            .and_then(|t| word(&t, "usage_usec "))
            .map(|us| us / 1000),
        _ => number(stack, instance, ("cpuacct", "cpuacct.usage"), "").map(|ns| ns / 1_000_000),
    };
    let memory = number(stack, instance, ("memory", "memory.usage_in_bytes"), "memory.current");
    let processes = number(stack, instance, ("pids", "pids.current"), "pids.current");
    (cpu.unwrap_or_default(), memory.unwrap_or_default(), processes.unwrap_or_default())
}

/// Changes the limits of an instance that runs, and lifts those it has no more. Not by the runtime's `update`: crun 1.8 lifts no
/// limit of processors, and on v1 none of processes.
///
/// # Errors
/// What the kernel refused: on v1 less memory than is used and cannot be freed.
pub(crate) fn limit(stack: &str, instance: &str, limits: &Limits) -> Result<(), Failure> {
    let group = name(stack, instance);
    let v2 = kind() == "v2";
    let words = if v2 {
        words_of_v2(limits)
    } else {
        let now = number(stack, instance, ("memory", "memory.limit_in_bytes"), "");
        words_of_v1(limits, now.unwrap_or_default())
    };
    for (controller, file, word) in words {
        let path =
            if v2 { format!("{ROOT}{group}/{file}") } else { format!("{ROOT}/{controller}{group}/{file}") };
        // Without a limit nothing may be missing: a kernel need not have every controller, nor count swap.
        let needed = word != LIFT_V1 && !word.starts_with(LIFT) && !file.contains("sw");
        let file = std::fs::File::options().write(true).open(&path);
        let done = file.and_then(|mut file| std::io::Write::write_all(&mut file, word.as_bytes()));
        match done {
            Err(e) if needed || e.kind() != ErrorKind::NotFound => {
                let failure =
                    Failure::new(Kind::Failed, "ct.oci.limit", format!("cannot write {word} to {path}: {e}"));
                return Err(match e.kind() {
                    ErrorKind::ResourceBusy => {
                        failure.hint("it uses more than that; stop it, and bring it up again")
                    }
                    _ => failure,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

const LIFT: &str = "max";
const LIFT_V1: &str = "-1";

/// Controller, file and word, in the order in which they are written.
type Words = Vec<(&'static str, &'static str, String)>;

fn or(value: Option<u64>, lift: &str) -> String {
    value.map_or_else(|| lift.to_owned(), |n| n.to_string())
}

/// Memory and swap are counted apart: beside its memory an instance has none.
fn words_of_v2(limits: &Limits) -> Words {
    vec![
        ("", "memory.max", or(limits.memory_bytes, LIFT)),
        ("", "memory.swap.max", or(limits.memory_bytes.map(|_| 0), LIFT)),
        ("", "cpu.max", format!("{} {PERIOD_US}", or(limits.cpus_milli.map(quota_us), LIFT))),
        ("", "pids.max", or(limits.processes.map(u64::from), LIFT)),
    ]
}

/// Memory alone is never above memory with swap: to raise both, that comes first.
fn words_of_v1(limits: &Limits, now: u64) -> Words {
    let memory = or(limits.memory_bytes, LIFT_V1);
    let mut words = vec![
        ("memory", "memory.limit_in_bytes", memory.clone()),
        ("memory", "memory.memsw.limit_in_bytes", memory),
    ];
    if limits.memory_bytes.is_none_or(|wanted| wanted > now) {
        words.reverse();
    }
    words.extend(limits.cpus_milli.map(|_| ("cpu", "cpu.cfs_period_us", PERIOD_US.to_string())));
    words.push(("cpu", "cpu.cfs_quota_us", or(limits.cpus_milli.map(quota_us), LIFT_V1)));
    words.push(("pids", "pids.max", or(limits.processes.map(u64::from), LIFT)));
    words
}

/// Whether swap can be limited here.
pub(crate) fn swap() -> bool {
    match kind() {
        "v2" => Path::new("/proc/swaps").exists(),
        _ => Path::new(ROOT).join("memory/memory.memsw.limit_in_bytes").exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &Words) -> Vec<String> {
        words.iter().map(|(_, file, word)| format!("{file} {word}")).collect()
    }

    #[test]
    fn what_is_taken_away_is_lifted() {
        let none = Limits::default();
        assert_eq!(
            told(&words_of_v2(&none)),
            ["memory.max max", "memory.swap.max max", "cpu.max max 100000", "pids.max max"]
        );
        let v1 = told(&words_of_v1(&none, 4096));
        assert_eq!(v1[..2], ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1"]);
        assert_eq!(v1[2..], ["cpu.cfs_quota_us -1", "pids.max max"]);
    }

    #[test]
    fn memory_is_never_above_memory_with_swap() {
        let limits = Limits { memory_bytes: Some(8192), cpus_milli: Some(250), processes: Some(9) };
        let words = |now| told(&words_of_v1(&limits, now))[0].clone();
        assert_eq!(words(4096), "memory.memsw.limit_in_bytes 8192");
        assert_eq!(words(16384), "memory.limit_in_bytes 8192");
        assert_eq!(words_of_v2(&limits)[2].2, "25000 100000");
    }
}

//! Limits of an instance as values of its control groups, written while it runs, on v1 and v2.

use super::groups::{ROOT, counted, inner, kind, name, number, put};
use crate::model::Limits;
use crate::render::limits::{LIFT, LIFT_V1, Words, words_of_v1, words_of_v2};
use common::{Failure, Kind};
use std::io::ErrorKind;
use std::path::Path;

/// Creates an instance's group with its limits on memory and CPU, before its container.
///
/// # Errors
/// Errors of the kernel.
pub(crate) fn hold(stack: &str, instance: &str, limits: &Limits) -> Result<(), Failure> {
    let group = name(stack, instance);
    for root in counted() {
        let made = std::fs::create_dir_all(format!("{root}{group}"));
        made.map_err(|e| {
            let message = format!("cannot create the control group {root}{group}: {e}");
            Failure::new(Kind::Failed, "ct.oci.group", message)
        })?;
        if kind() == "v2" {
            // From the root down, since each group enables controllers for those below it; missing controllers are ignored
            // here.
            for above in Path::new(&group).ancestors().collect::<Vec<_>>().iter().rev() {
                let file = format!("{root}{}/cgroup.subtree_control", above.display());
                ["+cpu", "+memory", "+pids"].iter().for_each(|word| _ = put(Path::new(&file), word));
            }
        }
    }
    bound(&group, limits)
}

/// Changes the limits of a running instance, and removes those no longer set. The runtime's `update` is not used, since
/// crun 1.8 does not remove a CPU limit, nor on v1 a limit on processes.
///
/// # Errors
/// Errors of the kernel: on v1 a memory limit below what is used and cannot be freed.
pub(crate) fn limit(stack: &str, instance: &str, limits: &Limits) -> Result<(), Failure> {
    let (outer, inner) = (name(stack, instance), inner(stack, instance));
    if kind() != "v2" {
        // On v1 no group may have more than its parent, so the order matters.
        bound(&outer, &Limits::default())?;
    }
    write(&inner, words(&inner, limits))?;
    bound(&outer, limits)
}

/// Additional memory for a supervisor. Without it both would compete for the last pages, and the kernel would reclaim
/// memory for minutes before it kills a process.
const OWN: u64 = 32 * 1024 * 1024;

/// The limits that an instance shares with its supervisor. The limit on processes is only the container's: it must not
/// prevent the supervisor from stopping it.
pub(super) fn bound(group: &str, limits: &Limits) -> Result<(), Failure> {
    let memory_bytes = limits.memory_bytes.map(|bytes| bytes.saturating_add(OWN));
    let limits = &Limits { memory_bytes, ..limits.clone() };
    let words = words(group, limits).into_iter().filter(|(_, file, _)| *file != "pids.max").collect();
    write(group, words)
}

fn words(group: &str, limits: &Limits) -> Words {
    if kind() == "v2" {
        return words_of_v2(limits);
    }
    let now = number(group, ("memory", "memory.limit_in_bytes"), "");
    words_of_v1(limits, now.unwrap_or_default())
}

fn write(group: &str, words: Words) -> Result<(), Failure> {
    let v2 = kind() == "v2";
    for (controller, file, word) in words {
        let path =
            if v2 { format!("{ROOT}{group}/{file}") } else { format!("{ROOT}/{controller}{group}/{file}") };
        // Without a limit any file may be missing: a kernel need not have every controller or count swap.
        let needed = word != LIFT_V1 && !word.starts_with(LIFT) && !file.contains("sw");
        match put(Path::new(&path), &word) {
            Err(e) if needed || e.kind() != ErrorKind::NotFound => {
                let failure =
                    Failure::new(Kind::Failed, "ct.oci.limit", format!("cannot write {word} to {path}: {e}"));
                return Err(match e.kind() {
                    ErrorKind::ResourceBusy => {
                        failure.hint("it uses more than that; stop it and start it again")
                    }
                    _ => failure,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether swap can be limited here.
pub(crate) fn swap() -> bool {
    match kind() {
        "v2" => Path::new("/proc/swaps").exists(),
        _ => Path::new(ROOT).join("memory/memory.memsw.limit_in_bytes").exists(),
    }
}

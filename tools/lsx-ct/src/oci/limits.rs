//! Limits of an instance as values of its control groups, written while it runs, on v1 and v2.

use super::groups::{ROOT, inner, kind, name, number, put};
use crate::model::Limits;
use crate::render::bundle::{PERIOD_US, quota_us};
use common::{Failure, Kind};
use std::io::ErrorKind;
use std::path::Path;

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
/// not keep us from ending it.
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

const LIFT: &str = "max";
const LIFT_V1: &str = "-1";

/// Controller, file and value, in the order of writing.
type Words = Vec<(&'static str, &'static str, String)>;

fn or(value: Option<u64>, lift: &str) -> String {
    value.map_or_else(|| lift.to_owned(), |n| n.to_string())
}

/// Memory and swap are limited separately: an instance gets no swap in addition to its memory.
fn words_of_v2(limits: &Limits) -> Words {
    vec![
        ("", "memory.max", or(limits.memory_bytes, LIFT)),
        ("", "memory.swap.max", or(limits.memory_bytes.map(|_| 0), LIFT)),
        ("", "cpu.max", format!("{} {PERIOD_US}", or(limits.cpus_milli.map(quota_us), LIFT))),
        ("", "pids.max", or(limits.processes.map(u64::from), LIFT)),
    ]
}

/// On v1 the limit of memory must not exceed that of memory and swap: to raise both, the latter comes first.
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

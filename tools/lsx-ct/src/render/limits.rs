//! Limits of an instance as values of control groups v1 and v2.

use crate::model::Limits;

/// The period of CPU quotas.
pub(super) const PERIOD_US: u64 = 100_000;

/// Thousandths of a processor as a quota.
pub(super) fn quota_us(milli: u32) -> u64 {
    u64::from(milli) * PERIOD_US / 1000
}

/// No limit, as v2 and the limit on processes write it.
pub(crate) const LIFT: &str = "max";

/// No limit, as v1 writes it.
pub(crate) const LIFT_V1: &str = "-1";

/// Controller, file and value, in the order of writing.
pub(crate) type Words = Vec<(&'static str, &'static str, String)>;

fn or(value: Option<u64>, lift: &str) -> String {
    value.map_or_else(|| lift.to_owned(), |n| n.to_string())
}

/// Memory and swap are limited separately: an instance gets no swap in addition to its memory.
pub(crate) fn words_of_v2(limits: &Limits) -> Words {
    vec![
        ("", "memory.max", or(limits.memory_bytes, LIFT)),
        ("", "memory.swap.max", or(limits.memory_bytes.map(|_| 0), LIFT)),
        ("", "cpu.max", format!("{} {PERIOD_US}", or(limits.cpus_milli.map(quota_us), LIFT))),
        ("", "pids.max", or(limits.processes.map(u64::from), LIFT)),
    ]
}

/// On v1 the limit of memory must not exceed that of memory and swap: to raise both, the latter comes first.
pub(crate) fn words_of_v1(limits: &Limits, now: u64) -> Words {
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

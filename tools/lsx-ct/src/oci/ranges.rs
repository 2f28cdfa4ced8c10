//! Which ranges of ids of this host are free.

use crate::model::{IDS, Ids};
use common::{Failure, Kind};

/// The first range: above those assigned by `adduser` (subuid(5): 100,000 to 600,100,000).
const FIRST: u32 = 0x4000_0000;
/// The end of the last one.
const END: u64 = FIRST as u64 + 16_000 * IDS as u64;

/// Whether a range can begin there.
pub(super) fn possible(first: u32) -> bool {
    first >= FIRST && (first - FIRST).is_multiple_of(IDS)
}

/// The lowest free range, for which this host's own ids are needed, too: in a container it may have few.
///
/// # Errors
/// If there is none.
pub(super) fn free(size: u32, taken: &[Ids], host: &[Vec<Ids>]) -> Result<Ids, Failure> {
    let end = |ids: &Ids| u64::from(FIRST) + (ids.end() - u64::from(FIRST)).next_multiple_of(IDS.into());
    let ends = taken.iter().filter(|ids| ids.first >= FIRST).map(end);
    let mut firsts: Vec<u32> = ends.filter_map(|end| u32::try_from(end).ok()).collect();
    firsts.push(FIRST);
    firsts.sort_unstable();
    let apart = |a: Ids, b: Ids| a.end() <= b.first.into() || b.end() <= a.first.into();
    let within = |outer: &Ids, ids: Ids| outer.first <= ids.first && ids.end() <= outer.end();
    let fits = |ids: &Ids| {
        ids.end() <= END
            && taken.iter().all(|other| apart(*ids, *other))
            && host.iter().all(|map| map.iter().any(|part| within(part, *ids)))
    };
    firsts.into_iter().map(|first| Ids { first, size }).find(fits).ok_or_else(|| {
        let message = format!("this host has no free range of {size} user and group ids for an instance");
        let (begin, last) = (FIRST, END - 1);
        let failure = Failure::new(Kind::Failed, "ct.oci.ids", message)
            .because(format!("lsx uses ids from {begin} to {last}; {} ranges are in use", taken.len()));
        match size {
            IDS => failure.hint("remove instances that are not needed"),
            _ => failure.hint("write a smaller number as ids: of the instance"),
        }
    })
}

/// The user and group ids that this host has, by kind (user_namespaces(7)).
pub(super) fn of_host() -> Vec<Vec<Ids>> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let first = numbers.next()?.ok()?;
        Some(Ids { first, size: numbers.nth(1)?.ok()? })
    };
    let read = |path| std::fs::read_to_string(path).ok();
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"].into_iter().filter_map(read);
    maps.map(|text| text.lines().filter_map(line).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(first: u32, size: u32) -> Ids {
        Ids { first: FIRST + first * IDS, size }
    }

    #[test]
    fn the_lowest_range_that_is_free_is_taken() {
        let find = |size, taken: &[Ids]| free(size, taken, &[]).unwrap();
        assert_eq!(find(IDS, &[]), ids(0, IDS));
        assert_eq!(find(IDS, &[ids(0, IDS), ids(2, IDS)]), ids(1, IDS));
        assert_eq!(find(IDS + 1, &[ids(0, IDS), ids(2, IDS)]), ids(3, IDS + 1));
        assert_eq!(find(IDS, &[ids(0, IDS + 1)]), ids(2, IDS), "ranges begin at multiples");
        assert_eq!(find(1_000_000_000, &[]), ids(0, 1_000_000_000));
    }

    #[test]
    fn where_there_is_none_it_is_refused() {
        let failure = free(1_000_000_000, &[ids(0, 100_000_000)], &[]).unwrap_err();
        assert!(failure.message.contains("no free range of 1000000000 user and group ids"), "{failure}");
        let few = vec![Ids { first: 0, size: FIRST + 2 * IDS }];
        let all = vec![Ids { first: 0, size: u32::MAX }];
        assert_eq!(free(2 * IDS, &[], &[all.clone(), few.clone()]).unwrap(), ids(0, 2 * IDS));
        assert!(free(2 * IDS, &[ids(0, IDS)], &[all, few]).is_err());
        assert!(free(IDS, &[], &[Vec::new()]).is_err());
    }

    #[test]
    fn this_host_has_ids() {
        assert!(of_host().iter().all(|map| !map.is_empty()) && of_host().len() == 2);
    }
}

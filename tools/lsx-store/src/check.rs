//! What `check` finds in addition to "the plan is empty": volumes that are nearly full, or whose size does not hold; what clients do not
//! get of the S3 server.

mod buckets;
mod order;
mod round;

pub(crate) use round::asked;

use crate::model::{Driver, Usage};
use crate::plan::Keys;
use common::people;
use common::tool::{Checked, Each, Finding, PlanInput};
use serde_json::json;

/// From this part of its size on a volume is nearly full.
const FULL: u64 = 90;

/// Asks the hosts what their volumes use.
pub(crate) fn check(input: &PlanInput<Keys>, each: Each<'_>) -> Checked {
    let mut checked = Checked::default();
    let (asked, hosts) = (json!({"stack": input.stack}), &input.hosts);
    checked.ask(&mut *each, ("usage", &asked), hosts, "store.unread", |checked, host, all: Vec<Usage>| {
        for usage in all.into_iter().filter(|usage| input.only.stored(&usage.volume)) {
            let mut tried = vec![("store.full", full(&usage))];
            tried.extend((usage.driver == Driver::Btrfs).then(|| ("store.subvolumes", divided(&usage))));
            for (code, found) in tried {
                match found {
                    Some((message, hint)) => checked.found(Finding {
                        code: code.to_owned(),
                        host: host.to_owned(),
                        message,
                        hint: Some(hint),
                    }),
                    None => checked.passed(),
                }
            }
            let mut row = serde_json::to_value(&usage).unwrap_or_default();
            row["host"] = json!(host);
            checked.row(row);
        }
    });
    buckets::check(input, each, &mut checked);
    checked
}

/// Whether a volume, or the disk that it is on, has little space left.
pub(crate) fn full(usage: &Usage) -> Option<(String, String)> {
    let share = |used: u64, of: u64| used.saturating_mul(100).checked_div(of).unwrap_or_default();
    let disk = share(usage.disk_bytes.saturating_sub(usage.free_bytes), usage.disk_bytes);
    let (have, free) = (usage.disk_inodes.unwrap_or_default(), usage.free_inodes.unwrap_or_default());
    let files = share(have.saturating_sub(free), have);
    let name = &usage.volume;
    match (usage.used_bytes, usage.size_bytes) {
        (Some(used), Some(size)) if share(used, size) >= FULL => {
            let (share, used, size) = (share(used, size), people::size(used), people::size(size));
            let message = format!("volume {name} uses {share} % of its size: {used} of {size}");
            Some((message, "write a larger size for it, then `lsx-store up`".to_owned()))
        }
        _ if disk >= FULL => {
            let (free, reserve) = (people::size(usage.free_bytes), people::size(usage.reserve_bytes));
            let message = format!(
                "the disk of volume {name}, at {}, is {disk} % full: {free} are free, of which {reserve} stay so",
                usage.path
            );
            Some((message, "free space there; everything else on that disk counts, too".to_owned()))
        }
        _ if files >= FULL => {
            let message = format!(
                "the disk of volume {name}, at {}, has {files} % of the files that it can have: {free} more",
                usage.path
            );
            Some((message, "remove files there; everything else on that disk counts, too".to_owned()))
        }
        _ => None,
    }
}

/// Whether its size can be exceeded, since there are subvolumes in it.
fn divided(usage: &Usage) -> Option<(String, String)> {
    let Usage { volume, path, .. } = usage;
    usage.subvolumes.then(|| {
        let message = format!("there are subvolumes in volume {volume}, whose content does not count to its size");
        (message, format!("btrfs subvolume list -o {path} shows them; copy what they have into folders, then delete them"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_nearly_full_by_its_size_or_by_its_disk() {
        let usage = |used_bytes, free_bytes| Usage {
            stack: "office".to_owned(),
            volume: "db".to_owned(),
            driver: Driver::Directory,
            path: "/data/db".to_owned(),
            used_bytes,
            size_bytes: Some(1000),
            enforced: true,
            subvolumes: false,
            used_inodes: None,
            free_bytes,
            disk_bytes: 10_000,
            reserve_bytes: 500,
            free_inodes: None,
            disk_inodes: None,
        };
        assert_eq!(full(&usage(Some(899), 5000)), None);
        let told = |usage: &Usage| full(usage).unwrap().0;
        assert_eq!(told(&usage(Some(900), 5000)), "volume db uses 90 % of its size: 900 of 1000");
        let disk = told(&usage(None, 1000));
        assert!(disk.ends_with("at /data/db, is 90 % full: 1000 are free, of which 500 stay so"), "{disk}");
        let files = |free| Usage { free_inodes: Some(free), disk_inodes: Some(100), ..usage(None, 5000) };
        assert!(told(&files(10)).ends_with("has 90 % of the files that it can have: 10 more"));
        assert_eq!(full(&files(11)), None);
        assert_eq!(full(&usage(None, 1001)), None);
        assert_eq!(full(&Usage { disk_bytes: 0, ..usage(None, 0) }), None);
        assert_eq!(divided(&usage(None, 1)), None);
        assert!(
            divided(&Usage { subvolumes: true, ..usage(None, 1) }).unwrap().1.contains("list -o /data/db")
        );
    }
}

//! What `check` finds in addition to "the plan is empty": volumes that are nearly full.

use crate::model::Usage;
use common::tool::{Checked, Each, Finding, PlanInput};
use serde_json::json;

/// From this part of its size on a volume is nearly full.
const FULL: u64 = 90;

/// Asks the hosts what their volumes use.
pub(crate) fn check(input: &PlanInput, each: Each<'_>) -> Checked {
    let mut checked = Checked::default();
    let (asked, hosts) = (json!({"stack": input.stack}), &input.hosts);
    checked.ask(each, ("usage", &asked), hosts, "store.unread", |checked, host, all: Vec<Usage>| {
        for usage in all.into_iter().filter(|usage| input.only.stored(&usage.volume)) {
            match full(&usage) {
                Some((message, hint)) => checked.found(Finding {
                    code: "store.full".to_owned(),
                    host: host.to_owned(),
                    message,
                    hint: Some(hint.to_owned()),
                }),
                None => checked.passed(),
            }
            let mut row = serde_json::to_value(&usage).unwrap_or_default();
            row["host"] = json!(host);
            checked.row(row);
        }
    });
    checked
}

/// Whether a volume, or the disk that it is on, has little space left.
pub(crate) fn full(usage: &Usage) -> Option<(String, &'static str)> {
    let share = |used: u64, of: u64| used.saturating_mul(100).checked_div(of).unwrap_or_default();
    let disk = share(usage.disk_bytes.saturating_sub(usage.free_bytes), usage.disk_bytes);
    let name = &usage.volume;
    match (usage.used_bytes, usage.size_bytes) {
        (Some(used), Some(size)) if share(used, size) >= FULL => {
            let message = format!("volume {name} uses {} % of its size", share(used, size));
            Some((message, "write a larger size for it, then `lsx-store up`"))
        }
        _ if disk >= FULL => {
            let message = format!("the disk of volume {name}, at {}, is {disk} % full", usage.path);
            Some((message, "free space there; everything else on that disk counts, too"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Driver;

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
            free_bytes,
            disk_bytes: 10_000,
        };
        assert_eq!(full(&usage(Some(899), 5000)), None);
        assert!(full(&usage(Some(900), 5000)).unwrap().0.contains("uses 90 % of its size"));
        assert!(full(&usage(None, 1000)).unwrap().0.contains("at /data/db, is 90 % full"));
        assert_eq!(full(&usage(None, 1001)), None);
        assert_eq!(full(&Usage { disk_bytes: 0, ..usage(None, 0) }), None);
    }
}

//! Whatever is killed at any time: the repository stays whole, and the next run goes on.

use crate::vault::{KEY, Vault, text};
use lsx_tests::Dice;

pub(crate) const CASES: &[crate::Case] = &[(
    "a_run_killed_at_any_moment_leaves_a_whole_repository",
    a_run_killed_at_any_moment_leaves_a_whole_repository,
)];

fn a_run_killed_at_any_moment_leaves_a_whole_repository(vault: &Vault) {
    let file = vault.stack("shot");
    vault.start(&file);
    // On the host itself, where nothing finishes the run.
    vault.lab.exec_with("h1", &["sh", "-ec", "cat >/root/shot.yaml"], text("shot").as_bytes()).ok();
    let tool = vault.host("ls -t /var/lib/lsx/bin/*/lsx-snap | head -1").trim().to_owned();
    let take = format!("{tool} take --stack /root/shot.yaml");
    let whole = |round: i32| {
        // The lock of a process that has died is no lock.
        let check = vault.lab.script("h1", "restic='restic --no-cache -q -r /repo/shot -p /root/key'; $restic unlock 2>&1 && $restic check 2>&1");
        assert_eq!(check.code, 0, "round {round}: {}", check.stdout);
    };
    let (mut dice, mut killed) = (Dice(20_261_127), 0);
    for round in 0..3 {
        // New bytes in each round, so that there is something to write.
        vault.host("for v in db logs; do head -c 3M /dev/urandom >/var/lib/lsx/volumes/shot/$v/much; done");
        let shot = format!(
            "timeout -s KILL 0.{:03} {take} >/dev/null 2>&1 && echo ended || echo killed",
            50 + dice.below(600)
        );
        killed += i32::from(vault.host(&shot).trim() == "killed");
        if !vault.host("test ! -e /repo/shot/config || echo there").is_empty() {
            whole(round);
        }
        vault.host(&format!("{take} >/dev/null"));
        assert_eq!(vault.host("ls -A /big/shot"), "db\nlogs\n", "round {round}");
        assert_eq!(vault.host("ls -A /repo/shot | grep lsx || true"), "", "round {round}");
        whole(round);
        let last =
            vault.restic("shot", "dump latest --tag lsx-volume=db /shot/db/much | cmp - /big/shot/db/much");
        assert_eq!(last.code, 0, "round {round}: {}", last.stdout);
    }
    assert!(killed > 0, "all runs were faster");
    // What a killed run leaves beside a volume, and in the repository, is removed by the next one, and by `down`.
    let left = "for name in -shot-db :shot:db; do btrfs -q subvolume snapshot -r /big/shot/db /big/shot/.lsx-snap$name; done; echo part >/repo/shot/data/00/.lsx-4294967295-abc";
    vault.host(left);
    vault.host(&format!("{take} >/dev/null"));
    assert_eq!(vault.host("ls -A /big/shot /repo/shot/data/00 | grep -e snap -e abc || true"), "");
    vault.host(left);
    vault.host(&format!("rm /root/shot.yaml; grep -rl '{KEY}' /run /tmp || true"));
    vault.snap(&["down", "-q", &file]).ok();
    assert_eq!(vault.host("ls -A /big/shot"), "db\nlogs\n");
    vault.end(&file, "shot");
}

//! A restore that is killed at any time leaves volumes that are whole, as they were or as they are to be; the next run ends it.

use crate::vault::{Vault, text};
use lsx_tests::Dice;

pub(crate) const CASES: &[crate::Case] =
    &[("a_restore_killed_at_any_moment_is_ended", a_restore_killed_at_any_moment_is_ended)];

/// Both contents of both volumes differ in many files.
const FILL: &str = r#"for v in db logs; do cd /big/killed/$v; rm -rf x; mkdir x; for i in $(seq 60); do echo "$what $i" >x/$i; done; head -c 2M /dev/zero | tr '\0' $(printf %.1s $what) >x/much; done"#;

fn a_restore_killed_at_any_moment_is_ended(vault: &Vault) {
    let file = vault.stack("killed");
    vault.start(&file);
    vault.lab.exec_with("h1", &["sh", "-ec", "cat >/root/killed.yaml"], text("killed").as_bytes()).ok();
    let tool = vault.host("ls -t /var/lib/lsx/bin/*/lsx-snap | head -1").trim().to_owned();
    let run = |words: &str| format!("{tool} {words} --stack /root/killed.yaml");
    vault.host(&format!("what=old; {FILL}"));
    vault.take(&file);
    vault.host(&format!("what=new; {FILL}"));
    // What each volume has, wherever it is: one of the two, and all of it.
    let content = |round: u64| {
        let one = |volume: &str| {
            let seen = vault.host(&format!(
                "cd /big/killed/{volume}; test $(getfattr -n trusted.lsx.volume --only-values .) = killed/{volume}; cat x/? x/?? | cut -d' ' -f1 | uniq; cat x/? x/?? | wc -l; head -c 1 x/much; tr -d on <x/much | wc -c"
            ));
            match seen.as_str() {
                "old\n60\no0\n" => "old",
                "new\n60\nn0\n" => "new",
                other => panic!("round {round}: {volume} has {other}"),
            }
        };
        [one("db"), one("logs")]
    };
    let (mut dice, mut killed, mut ended) = (Dice(20_261_128), 0, Vec::new());
    for round in 0..6 {
        let words = if round % 4 == 3 { "undo db logs" } else { "restore both" };
        let shot = format!(
            "timeout -s KILL 0.{:03} {} >/dev/null 2>&1 && echo ended || echo $?",
            50 + dice.below(900),
            run(words)
        );
        killed += i32::from(vault.host(&shot).trim() == "137");
        content(round);
        // Each of the verbs ends it.
        let next = match round % 3 {
            0 => format!("{tool} up -q /root/killed.yaml"),
            1 => run("restore both"),
            _ => format!("{tool} up -q --self h1 /etc/lsx/killed/snap.json"),
        };
        vault.host(&format!("{next} >/dev/null"));
        let now = content(round);
        assert!(round % 3 != 1 || now == ["old", "old"], "round {round}: {now:?}");
        ended.push(now[0]);
        let kept = vault.host(
            "all=$(cat /var/lib/lsx/snap/killed/data/restores.json || echo '{\"restores\": []}'); cd /big/killed; echo \"$all\" | jq -r '.restores[] | select(.half) | .volume'
            for v in db logs; do echo $(ls -A | grep -c lsx-restore:killed:$v) $(echo \"$all\" | jq -r '.restores[].volume' | grep -cx $v); mountpoint -q /var/lib/lsx/volumes/killed/$v; cmp /var/lib/lsx/volumes/killed/$v/x/1 $v/x/1; done",
        );
        let lines: Vec<&str> = kept.lines().collect();
        assert_eq!(lines.len(), 2, "round {round}: {kept}");
        lines.iter().for_each(|line| {
            assert_eq!(line.split(' ').next(), line.split(' ').nth(1), "round {round}: {kept}")
        });
        if now[0] == "old" {
            vault.host(&format!("what=new; {FILL}"));
        }
    }
    assert!(killed > 0, "all runs were faster: {ended:?}");
    vault.store(&["check", &file]).ok();
    // A power cut in the middle of an exchange: the record says what is to be, and nothing is mounted. `check` names it.
    vault.host(&run("settle >/dev/null"));
    vault.host(&format!("{} >/dev/null", run("restore both --volume logs")));
    for (restored, wanted) in [(true, "old"), (false, "old")] {
        let half = format!(
            "jq -c '.restores[0].half = {{restored: {restored}, drop: false}}' restores.json >new; mv new restores.json"
        );
        vault.host(&format!(
            "cd /var/lib/lsx/snap/killed/data; {half}; umount /var/lib/lsx/volumes/killed/logs"
        ));
        let found = vault.snap(&["check", &file]).exits(2);
        assert!(found.stdout.contains("remove restore logs"), "{}", found.stdout);
        let plan = vault.snap(&["plan", &file]).ok();
        let why = if restored { "that is finished" } else { "the volume stays as it was" };
        assert!(plan.stdout.contains(why), "{}", plan.stdout);
        vault.snap(&["up", "-q", &file]).ok();
        assert_eq!(content(100)[1], wanted);
        vault.snap(&["check", &file]).ok();
        vault.store(&["check", &file]).ok();
    }
    vault.host("rm /root/killed.yaml");
    vault.end(&file, "killed");
}

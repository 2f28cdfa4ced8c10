//! Debian's cron, on a host without systemd: after a boot it restores what the host kept, and each minute it runs what is due.

use lsx_tests::groups::Case;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[Case<Lab>] =
    &[("cron_restores_and_does_what_is_due", cron_restores_and_does_what_is_due)];

fn cron_restores_and_does_what_is_due(lab: &Lab) {
    let text = "stack: clock\nhosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 } }\nnetworks: { lan: 10.77.0.0/24 }\n\
                instances: { one: { image: none, networks: lan, env: { EVERY: \"1\", NOTE: \"a text\" } } }\n";
    let file = lab.file("clock.yaml", text);
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    let lines = || lab.script("h1", "cat /var/lib/lsx/note/clock/.lines 2>/dev/null || true").ok().stdout;
    let logged = || lab.script("h1", "cat /var/log/cron.log; ls -l /etc/cron.d; ps ax").ok().stdout;
    assert!(until(200, || lines().starts_with("h1\n")), "no minute of cron: {}", logged());
    // A power cut: nothing else than cron runs the entries.
    let note = "/var/lib/lsx/note/clock/one";
    lab.script("h1", &format!("rm {note}")).ok();
    lab.verb(&["kill", "h1"]).ok();
    let before = lines_of_disk(lab);
    assert!(until(100, || lab.script("h1", &format!("test -e {note}")).code == 0), "{}", logged());
    assert_eq!(lab.exec("h1", &["cat", note]).ok().stdout, "a text");
    assert!(until(200, || lines().len() > before), "no minute after the boot: {}", logged());
    lab.net(&["check", &file]).ok();
    lab.net(&["down", &file]).ok();
    let left = "find /etc/lsx /etc/cron.d /var/lib/lsx /run/lsx -path '*lsx-timer*' -o -path '*lsx-boot*' -o -path '*clock*' 2>/dev/null || true; pidof -q cron";
    assert_eq!(lab.script("h1", left).ok().stdout, "");
}

/// The lines after the host has booted again.
#[track_caller]
fn lines_of_disk(lab: &Lab) -> usize {
    lab.verb(&["boot", "h1"]).ok();
    lab.script("h1", "cat /var/lib/lsx/note/clock/.lines").ok().stdout.len()
}

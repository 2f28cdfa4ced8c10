//! Clients change names.

use crate::office::{JOURNAL, Office};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[("a_client_changes_its_names", a_client_changes_its_names)];

const CHALLENGE: &str = "_acme-challenge.www.internal";

fn a_client_changes_its_names(lab: &Lab) {
    let office = Office::up(lab);
    let certbot = office.key("certbot");
    let add = format!("update add {CHALLENGE} 60 TXT \"one two\"");
    office.refused(None, &add, "REFUSED");
    lab.script("h1", "sed 's/secret \"./secret \"Z/' /tmp/certbot.key >/tmp/wrong.key").ok();
    office.refused(Some("/tmp/wrong.key"), &add, "BADSIG");
    assert_eq!(office.short(&format!("{CHALLENGE} TXT")), [""; 0]);
    let before = office.serial();
    office.updated(&certbot, &add);
    assert_eq!(office.short(&format!("{CHALLENGE} TXT")), ["\"one two\""]);
    assert!(office.serial() > before);
    // It is on the disk before it counts.
    let worker = office.recorded("pid");
    lab.script("h1", &format!("kill -9 {worker}")).ok();
    let there = || office.short(&format!("{CHALLENGE} TXT")) == ["\"one two\""];
    assert!(until(60, || office.recorded("pid") != worker && there()));
    let journal = lab.script("h1", &format!("cat {JOURNAL}")).ok().stdout;
    assert!(journal.contains("\"txt\":\"one two\"") && !journal.contains("secret"), "{journal}");
    // The key is in no argument and no document.
    let key = lab.script("h1", "sed -n 's/.*secret \"\\([^\"]*\\)=*\".*/\\1/p' /tmp/certbot.key").ok().stdout;
    let url = key.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    assert_eq!(url.len(), 43, "{url}");
    lab.exec_with("h1", &["bash", "-c", "umask 77; cat >/tmp/pattern"], url.as_bytes()).ok();
    let found = "grep -rlf /tmp/pattern /etc/lsx /run/lsx /var/lib/lsx/dns || true; grep -laf /tmp/pattern /proc/[0-9]*/cmdline || true";
    let found = lab.script("h1", found).ok().stdout;
    assert_eq!(found.trim(), "");
    office.down();
}

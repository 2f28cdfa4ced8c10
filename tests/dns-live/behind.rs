//! `check` tells when the server of one host lacks what the one that keeps the names has, or could not get it.

use crate::pair::{both, kill, logs, serial, up, updated};
use crate::town::{HOSTS, Town};
use lsx_tests::lab::{Lab, Ran, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] =
    &[("check_tells_which_server_is_behind", check_tells_which_server_is_behind)];

/// The only finding of this kind, which h2 has.
#[track_caller]
fn finding(checked: &Ran) -> String {
    let told = checked.json();
    let all: Vec<&Value> =
        told["findings"].as_array().unwrap().iter().filter(|at| at["code"] == "dns.behind").collect();
    assert_eq!(all.len(), 1, "{told}");
    assert_eq!(all[0]["host"], "h2", "{told}");
    assert!(all[0]["hint"].as_str().unwrap().contains("h2"), "{told}");
    all[0]["message"].as_str().unwrap().to_owned()
}

/// The serials that `check` shows, of h2 and of h1.
fn serials(checked: &Ran) -> (Option<String>, Option<String>) {
    let told = checked.json();
    let rows = told["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["keeper"] == "h1").unwrap_or_else(|| panic!("no row: {told}"));
    assert_eq!(row["host"], "h2", "{row}");
    let of = |key: &str| row.get(key).map(ToString::to_string);
    (of("serial"), of("kept"))
}

/// `check` says what is wrong with the way, and which serials both have, as their servers say themselves.
#[track_caller]
fn broken(pair: &Town<'_>, why: &str) {
    let checked = pair.dns(&["check", &pair.file]).exits(2);
    let said = finding(&checked);
    let port = &pair.resolved["tunnel_port"];
    let way = format!("h2 does not get what clients change from 198.18.0.11:{port} of h1");
    assert!(said.starts_with(&way) && said.contains(why), "{said}");
    let own = serial(pair, "bob").unwrap();
    assert!(said.contains(&format!("its serial is {own}")), "{said}");
    assert!(checked.stderr.contains(&way) && checked.stderr.contains("hint: "), "{}", checked.stderr);
}

fn check_tells_which_server_is_behind(lab: &Lab) {
    let pair = up(lab);
    updated(&pair, "bob", "update add one.internal 60 A 192.0.2.1");
    both(&pair, "one.internal", &["192.0.2.1"]);
    let good = pair.dns(&["check", &pair.file]).ok();
    let own = serial(&pair, "bob");
    assert_eq!(serials(&good), (own.clone(), own));
    // Packets are lost on the way; nothing has changed since, then something has.
    let port = &pair.resolved["tunnel_port"];
    for (host, what) in [("h1", "dport"), ("h2", "sport")] {
        let rule = format!("add rule inet lost in tcp {what} {port} drop");
        let chain = "add chain inet lost in { type filter hook prerouting priority -400; }";
        lab.script(host, &format!("nft 'add table inet lost; {chain}; {rule}'")).ok();
    }
    broken(&pair, "no answer");
    updated(&pair, "ann", "update add two.internal 60 A 192.0.2.2");
    broken(&pair, &format!("that of h1 {}", serial(&pair, "ann").unwrap()));
    assert_ne!(serial(&pair, "ann"), serial(&pair, "bob"));
    // What the other host has is not known then.
    let alone = pair.dns(&["check", &pair.file, "--offline", "h1"]).exits(2);
    assert!(finding(&alone).contains("that of h1 not asked"), "{}", alone.stdout);
    let table = pair.dns(&["check", &pair.file, "--table"]).exits(2);
    let words: Vec<&str> = table.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("which keeps it: no answer"), "{}", table.stdout);
    HOSTS.iter().for_each(|host| _ = lab.script(host, "nft delete table inet lost").ok());
    both(&pair, "two.internal", &["192.0.2.2"]);
    pair.dns(&["check", &pair.file]).ok();
    // A server does not run.
    kill(&pair, "h1");
    broken(&pair, "nothing listens there");
    assert!(pair.changes(&pair.file) > 0);
    assert!(until(60, || pair.dns(&["check", &pair.file]).code == 0), "{}", logs(&pair));
    kill(&pair, "h2");
    updated(&pair, "ann", "update add three.internal 60 A 192.0.2.3");
    let said = finding(&pair.dns(&["check", &pair.file]).exits(2));
    let kept = serial(&pair, "ann").unwrap();
    assert!(said.starts_with("h2 lacks names") && said.contains(&format!("that of h1 {kept}")), "{said}");
    assert!(pair.changes(&pair.file) > 0);
    both(&pair, "three.internal", &["192.0.2.3"]);
    pair.dns(&["check", &pair.file]).ok();
    // The keys are not the same.
    let key = "/var/lib/lsx/secrets/pair/dns/_dns_servers";
    lab.script("h2", &format!("cp -p {key} /run/kept; echo broken >{key}")).ok();
    let said = finding(&pair.dns(&["check", &pair.file]).exits(2));
    assert!(said.contains("the key on this host cannot be read"), "{said}");
    lab.script("h2", &format!("head -c 32 /dev/urandom | base64 >{key}")).ok();
    let said = finding(&pair.dns(&["check", &pair.file]).exits(2));
    assert!(said.contains("not signed rightly") && said.contains("key and clock"), "{said}");
    lab.script("h2", &format!("mv /run/kept {key}")).ok();
    pair.dns(&["check", &pair.file]).ok();
    pair.down();
}

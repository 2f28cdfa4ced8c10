//! A host that the document no longer names: every verb warns until a person confirms that nothing is left there.

use crate::kernel::{difference, snapshot};
use crate::stack::{Stack, tool_on};
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] =
    &[("a_host_taken_out_is_told_until_it_is_forgotten", a_host_taken_out_is_told_until_it_is_forgotten)];

const TOLD: &str = "198.18.0.12 was a host of stack small but is no longer in the document";

fn a_host_taken_out_is_told_until_it_is_forgotten(lab: &Lab) {
    let before = ["h1", "h2"].map(|host| snapshot(lab, host));
    let whole = include_str!("small.yaml");
    let stack = Stack::up(lab, &lab.file("small.yaml", whole), &[]);
    assert!(!lab.net(&["plan", &stack.file]).ok().stderr.contains("was a host"));
    let less: String =
        whole.lines().filter(|line| !line.contains("h2")).map(|line| format!("{line}\n")).collect();
    let less = lab.file("less.yaml", &less);
    let told = |verb: &[&str], code: i32| {
        let ran = lab.net(&[verb, &[&less]].concat()).exits(code);
        assert!(
            ran.stderr.contains(TOLD) && ran.stderr.contains("lsx-net up --forget 198.18.0.12"),
            "{verb:?}"
        );
    };
    let plan = lab.net(&["plan", &less]).ok().json();
    assert!(plan["warnings"].to_string().contains(TOLD), "{plan}");
    told(&["up"], 0);
    for (verb, code) in [("up", 0), ("check", 2), ("observe", 0)] {
        told(&[verb], code);
    }
    assert!(lab.script("h2", "ip -br link").ok().stdout.contains("lb81dblan"), "its objects are kept");
    lab.net(&["up", "--forget", "198.18.0.11", &less]).exits(64).says("this host is in the document");
    lab.script("h2", &format!("{} down --stack small", tool_on(lab, "h2"))).ok();
    let left = difference(&before[1], &snapshot(lab, "h2"));
    told(&["check"], 2);
    let forget = lab.net(&["up", "--forget", "198.18.0.12", &less]).ok();
    for ran in
        [forget, lab.net(&["up", &less]).ok(), lab.net(&["check", &less]), lab.net(&["observe", &less]).ok()]
    {
        assert!(!ran.stderr.contains("was a host"), "{}", ran.stderr);
    }
    let note = lab.script("h1", "cat /etc/lsx/small/hosts.json").ok().stdout;
    lab.net(&["down", &less]).ok();
    assert_eq!(left, "", "h2");
    assert!(note.contains("\"hosts\":[\"198.18.0.11\"]"), "{note}");
    assert_eq!(difference(&before[0], &snapshot(lab, "h1")), "", "h1");
}

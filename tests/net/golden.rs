//! Golden folders: what a plan says, byte for byte.
//!
//! `LSX_BLESS=1` writes the actual output; review `git diff` afterwards.

use crate::{drift, tool};
use lsx_tests::{blessing, golden};

#[test]
fn every_case_gives_what_it_gave() {
    golden::run(&tool(), drift::remade);
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let all: String = golden::cases("net")
        .iter()
        .filter_map(|c| Some(c.read("plan.json")? + &c.read("error.txt").unwrap_or_default()))
        .collect();
    for kind in [
        "routing",
        "router",
        "world",
        "bridge",
        "tunnel",
        "leg",
        "port",
        "forwarding",
        "route",
        "firewall",
        "accept",
        "service",
        "intent",
        "boot",
    ] {
        for verb in ["create", "change", "remove"] {
            let never =
                [("routing", "change"), ("forwarding", "remove"), ("port", "create"), ("port", "remove")];
            let told = all.contains(&format!("\"{kind}.{verb}:"));
            assert!(told || never.contains(&(kind, verb)), "no case has a step {kind}.{verb}");
        }
    }
    assert!(all.contains("\"remnant.remove:"));
    let refused: String = golden::cases("net").iter().filter_map(|c| c.read("error.txt")).collect();
    for words in [
        "still attached",
        "would change from",
        "--prune would remove",
        "VNI",
        "carries the tunnels",
        "of the tunnels is published by",
        "overlaps the route",
        "used by a program",
        "needs HAProxy",
        "is used by stack",
        "was not created by lsx",
        "lacks what the stack needs",
        "on Open vSwitch are not supported yet",
        "GRE tunnels are not supported yet",
        "VLAN networks are not supported yet",
        "--only is not supported",
        "cannot be published on a loopback address",
        "is never forwarded",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}

//! Golden folders: what a plan says, byte for byte.
//!
//! `LSX_BLESS=1` writes what came; look at `git diff` before you believe it.

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
        "taken by a program",
        "taken by stack",
        "lsx did not make it",
        "cannot do what the stack needs",
        "on Open vSwitch are not built yet",
        "GRE tunnels are not built yet",
        "VLAN networks are not built yet",
        "--only is for up",
        "cannot be published on loopback",
        "no router passes on",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}

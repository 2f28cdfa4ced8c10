//! The whole pipeline: LStacker's own file becomes running instances on lab hosts, and is removed completely.
//!
//! `map.jq` runs between the two tools; the recipes of the file are in `recipes`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "what was not tried is said aloud")]

use lsx_tests::lab::{self, Lab};
use lsx_tests::{tools, top};
use serde_json::Value;
use std::path::Path;

#[test]
fn lstackers_own_example_runs() {
    let Some(cloud) = Cloud::up("tests/fixtures/stack/lstacker/stack.yaml", 4) else { return };
    let mut names = cloud.names();
    names.sort();
    assert_eq!(names, lsx_tests::lstackers_hosts());
    cloud.answers_everywhere();
    cloud.recipes("oracle-dev", "centos-update\n");
    cloud.down();
}

#[test]
fn the_example_that_ships_runs() {
    let Some(cloud) = Cloud::up("scripts/stacks/lstacker.yml", 3) else { return };
    cloud.answers_everywhere();
    cloud.recipes("web-server", "centos-update\n");
    cloud.down();
}

/// A lab with a stack that is up.
struct Cloud {
    lab: Lab,
    before: Vec<String>,
    resolved: Value,
}

impl Cloud {
    fn up(stack: &str, hosts: usize) -> Option<Cloud> {
        if let Some(why) = lab::missing() {
            eprintln!("SKIPPED: pipeline: {why}");
            return None;
        }
        let tools = tools();
        let lab = Lab::up(hosts, &[], tools[0].path.to_str().unwrap());
        lab.furnish(&tools.iter().map(|tool| tool.path.as_path()).collect::<Vec<_>>());
        std::os::unix::fs::symlink(top("tests/pipeline/recipes"), lab.folder.path().join("recipes")).unwrap();
        let before = picture(&lab);
        let (stack, map) = (top(stack), top("tests/pipeline/map.jq"));
        let up = format!(
            "lsx-net resolve -q {} | jq -f {} | lsx-net up -q | lsx-ct up -q",
            stack.display(),
            map.display()
        );
        let document = run(&lab, &up);
        std::fs::write(lab.folder.path().join("up.json"), &document).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["status"]["ct"]["ok"], true, "{}", document["status"]);
        let again = run(&lab, "lsx-ct plan up.json --exit-code");
        assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["steps"], serde_json::json!([]));
        Some(Cloud { before, resolved: document["resolved"].clone(), lab })
    }

    fn names(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = self.resolved["names"].as_array().unwrap().iter();
        names.map(|name| (text(&name["address"]), text(&name["name"]))).collect()
    }

    /// The jump host is on every network: it resolves every name, and all answer it; the published ports of the file reach
    /// it.
    fn answers_everywhere(&self) {
        for (address, name) in self.names() {
            let said = run(
                &self.lab,
                &format!("lsx-ct exec --stack up.json --on jump-box -- ping -c 1 -W 2 {name}"),
            );
            let ran: Value = serde_json::from_str(&said).unwrap();
            let echo = format!("PING {name} ({address})");
            assert!(ran["ok"] == true && ran["stdout"].as_str().unwrap().contains(&echo), "{name}: {ran}");
        }
        run(&self.lab, "lsx-net check -q up.json && lsx-ct check -q up.json");
        let banner = run(&self.lab, "lsx-net probe banner:198.18.0.11:10022");
        assert!(banner.contains("SSH-2.0"), "{banner}");
        self.recipes("jump-box", "ubuntu-update\nhaproxy\n");
    }

    /// They have run once, in the order of the file.
    fn recipes(&self, instance: &str, wanted: &str) {
        let cat = format!("lsx-ct exec --stack up.json --on {instance} -- cat /var/log/recipes");
        let ran: Value = serde_json::from_str(&run(&self.lab, &cat)).unwrap();
        assert_eq!(ran["stdout"], wanted, "{ran}");
    }

    fn down(self) {
        run(&self.lab, "lsx-ct down -q up.json | lsx-net down -q");
        for (before, after) in self.before.iter().zip(picture(&self.lab)) {
            let left: Vec<&str> = after.lines().filter(|line| !before.lines().any(|l| l == *line)).collect();
            assert!(left.is_empty(), "left: {left:#?}");
        }
    }
}

/// The state of every host.
fn picture(lab: &Lab) -> Vec<String> {
    let script = std::fs::read(top("scripts/lab.d/picture")).unwrap();
    lab.hosts().iter().map(|host| lab.exec_with(host, &["bash", "-s"], &script).ok().stdout).collect()
}

/// A line of shell on the operator's machine, in the test's folder.
#[track_caller]
fn run(lab: &Lab, line: &str) -> String {
    let folder: &Path = lab.folder.path();
    let folder = folder.display();
    let script = format!(
        "cd {folder}; export PATH={folder}:$PATH LSX_STORE={folder}/store; set -o pipefail\n{line}\n"
    );
    lab.run(&["bash", "-c", &script]).ok().stdout
}

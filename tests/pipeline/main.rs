//! The whole pipeline: LStacker's own file becomes running instances on lab hosts, and is removed completely.
//!
//! `map.jq` runs between the two tools; the recipes of the file are in `recipes`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stderr, reason = "what was not tried is said aloud")]

use lsx_tests::lab::{self, Lab, Ran};
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
        let lab = furnished(hosts)?;
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

/// A lab with all tools and images; none where there can be no lab.
fn furnished(hosts: usize) -> Option<Lab> {
    if let Some(why) = lab::missing() {
        eprintln!("SKIPPED: pipeline: {why}");
        return None;
    }
    let tools = tools();
    let lab = Lab::up(hosts, &[], tools[0].path.to_str().unwrap());
    lab.furnish(&tools.iter().map(|tool| tool.path.as_path()).collect::<Vec<_>>());
    Some(lab)
}

/// The state of every host.
fn picture(lab: &Lab) -> Vec<String> {
    let script = std::fs::read(top("scripts/lab.d/picture")).unwrap();
    lab.hosts().iter().map(|host| lab.exec_with(host, &["bash", "-s"], &script).ok().stdout).collect()
}

/// A line of shell on the operator's machine, in the test's folder.
#[track_caller]
fn run(lab: &Lab, text: &str) -> String {
    line(lab, text).ok().stdout
}

/// The same, however it ends.
fn line(lab: &Lab, line: &str) -> Ran {
    let folder: &Path = lab.folder.path();
    let folder = folder.display();
    let script = format!(
        "cd {folder}; export PATH={folder}:$PATH LSX_STORE={folder}/store; set -o pipefail\n{line}\n"
    );
    lab.run(&["bash", "-c", &script])
}

/// `lsx up` on three hosts, of which one does not answer: the others are done, and nobody waits for it longer than once.
#[test]
fn a_dead_host_holds_up_no_other() {
    let Some(lab) = furnished(3) else { return };
    let host = |n: usize| format!("  h{n}: {{ address: 198.18.0.1{n}, ssh: root@198.18.0.1{n} }}\n");
    let one = |n: usize| {
        format!("  on-h{n}: {{ image: bb, host: h{n}, networks: [lan], command: [sleep, \"1000\"] }}\n")
    };
    let text = format!(
        "stack: three\nhosts:\n{}networks: {{ lan: {{ cidr: 10.140.0.0/24, gateway: h1 }} }}\n\
         images: {{ bb: {{ oci: 'tar:images/busybox.tar' }} }}\ninstances:\n{}",
        (1..=3).map(host).collect::<String>(),
        (1..=3).map(one).collect::<String>()
    );
    lab.file("three.yaml", &text);
    let lsx = |words: &str| line(&lab, &format!("{} {words}", top("scripts/lsx").display()));
    let report = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(lab.folder.path().join(name)).unwrap()).unwrap()
    };
    let bridges = |host: &str| {
        let all = lab.json(host, "ip -j link show type bridge");
        all.as_array().unwrap().iter().filter(|link| link["ifname"].is_string()).count()
    };
    let runs = |host: &str| lab.script(host, "pgrep -fx 'sleep 1000'").code == 0;
    lab.verb(&["cut", "h3"]);
    let ran = lsx("up three.yaml --report net.json").exits(69);
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("h3")).collect();
    assert!(
        told.len() == 1 && told[0].contains("h3: ") && told[0].contains("does not answer"),
        "{}",
        ran.stderr
    );
    complete(&report("net.json"), "lsx.net.report/1");
    for host in ["h1", "h2"] {
        assert_eq!(bridges(host), 1, "{host}");
    }
    // The rest of the pipeline, as the message says.
    let ran = lsx("up three.yaml --offline h3 --report ct.json").ok();
    let document = ran.json();
    assert_eq!(
        (&document["status"]["net"]["ok"], &document["status"]["ct"]["ok"]),
        (&true.into(), &true.into())
    );
    assert!(runs("h1") && runs("h2"));
    // The second tool by itself, with something to do on a living host.
    let ran = lsx("ct up three.yaml --set instances.on-h2.env.A=b --report ct.json").exits(69);
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("h3")).collect();
    assert!(told.len() == 1 && told[0].contains("does not answer"), "{}", ran.stderr);
    complete(&report("ct.json"), "lsx.ct.report/1");
    let env = "tr '\\0' '\\n' </proc/$(pgrep -fx 'sleep 1000')/environ | grep -x A=b";
    lab.script("h2", env).ok();
    lab.verb(&["heal", "h3"]);
    let answers = || lab.run(&["ping", "-c", "1", "-W", "1", "198.18.0.13"]).code == 0;
    assert!(lab::until(60, answers), "h3 is not back");
    lsx("up three.yaml").ok();
    assert!(runs("h3"));
    lsx("down three.yaml").ok();
}

/// The report of a run in which h3 did not answer: those of the others are whole.
fn complete(report: &Value, schema: &str) {
    assert_eq!(report["schema"], schema);
    let hosts = report["hosts"].as_array().unwrap();
    let mut names: Vec<&str> = hosts.iter().map(|host| host["host"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["h1", "h2", "h3"], "{report}");
    for host in hosts {
        match host["host"].as_str() {
            Some("h3") => {
                assert!(host["ok"] == false && host["exit"] == 69, "{host}");
                assert_eq!(host["failure"]["kind"], "unreachable", "{host}");
            }
            _ => {
                assert!(host["ok"] == true && host["failure"].is_null(), "{host}");
                let steps = host["steps"].as_array().map_or(&[][..], Vec::as_slice);
                assert_eq!(steps.len() as u64, host["changed"].as_u64().unwrap(), "{host}");
                assert!(steps.iter().all(|step| step["outcome"] == "done"), "{host}");
            }
        }
    }
}

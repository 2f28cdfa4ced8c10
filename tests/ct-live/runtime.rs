//! `--runtime`: an instance keeps the runtime that was requested for it.

use crate::cloud::Cloud;

pub(crate) const CASES: &[crate::Case] = &[
    ("the_chosen_runtime_stays_with_its_instance", the_chosen_runtime_stays_with_its_instance),
    (
        "a_runtime_that_is_not_there_or_does_nothing_is_named",
        a_runtime_that_is_not_there_or_does_nothing_is_named,
    ),
];

/// A runtime at another path, which records its arguments.
const OTHER: &str = "mkdir -p /opt/other; printf '#!/bin/sh\\necho \"$*\" >>/opt/other/calls\\nexec runc \"$@\"\\n' >/opt/other/run
    chmod +x /opt/other/run";

fn the_chosen_runtime_stays_with_its_instance(cloud: &Cloud) {
    let lab = &cloud.lab;
    let before = cloud.snapshot("h1");
    lab.script("h1", OTHER).ok();
    let file =
        cloud.stack("chosen", "\n  one: { image: bb, host: h1, networks: [lan], limits: { memory: 64M } }");
    lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file, "--runtime", "/opt/other/run"]).ok();
    let two = cloud.stack(
        "chosen",
        "\n  one: { image: bb, host: h1, networks: [lan], limits: { memory: 64M } }\n  two: { image: bb, host: h1, networks: [lan] }",
    );
    cloud.ct(&["up", &two]).ok();
    let calls = || lab.script("h1", "cat /opt/other/calls; rm /opt/other/calls").ok().stdout;
    let tool = cloud.tool_on("h1");
    let asked = |verb: &str, calls: &str| {
        calls.lines().any(|l| l.contains(&format!(" {verb} ")) && l.ends_with("chosen.one"))
    };
    let made = calls();
    assert!(asked("create", &made) && asked("start", &made), "{made}");
    assert!(!made.contains("chosen.two"), "the choice was for the first alone: {made}");
    lab.exec("h1", &[&tool, "exec", "--on", "one", "--", "true"]).ok();
    assert!(asked("exec --detach", &calls()));
    lab.exec("h1", &[&tool, "restart", "chosen/one"]).ok();
    let again = calls();
    assert!(asked("delete --force", &again) && asked("create", &again), "{again}");
    lab.script("h1", "kill -9 $(jq .supervisor /run/lsx/ct/chosen/one/state.json)").ok();
    cloud.ct(&["up", &two]).ok();
    let repaired = calls();
    assert!(asked("delete --force", &repaired) && asked("create", &repaired), "{repaired}");
    cloud.end(&two);
    assert!(asked("delete --force", &calls()));
    lab.script("h1", "rm -r /opt/other").ok();
    cloud.same("h1", &before, "after a chosen runtime");
}

fn a_runtime_that_is_not_there_or_does_nothing_is_named(cloud: &Cloud) {
    let before = cloud.snapshot("h1");
    let file = cloud.stack("absent", "\n  one: { image: bb, host: h1, networks: [lan] }");
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let missing = cloud
        .ct(&["up", &file, "--runtime", "nothing"])
        .exits(1)
        .says("the OCI runtime nothing is not installed on this host");
    missing.says("leave out --runtime");
    cloud
        .ct(&["up", &file, "--runtime", "/bin/false"])
        .exits(1)
        .says("the OCI runtime /bin/false does not work on this host");
    let hidden = "mkdir -p /opt/other; cp $(command -v runc) /opt/other/run
        for one in $(for r in crun runc youki; do command -v $r || true; done); do busybox mount --bind /bin/false $one; done";
    cloud.lab.script("h1", hidden).ok();
    cloud.ct(&["up", &file]).exits(1).says("no OCI runtime works on this host");
    cloud.ct(&["up", &file, "--runtime", "/opt/other/run"]).ok();
    assert_eq!(cloud.said("h1", "absent/one")["state"], "running");
    cloud.end(&file);
    cloud
        .lab
        .script(
            "h1",
            "for one in $(for r in crun runc youki; do command -v $r || true; done); do busybox umount $one; done; rm -r /opt/other",
        )
        .ok();
    cloud.same("h1", &before, "after runtimes that are none");
}

//! What another `up` does to what runs: nothing, or no more than it has to.

use crate::cloud::Cloud;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_second_up_changes_nothing", a_second_up_changes_nothing),
    (
        "environment_starts_anew_and_limits_change_while_it_runs",
        environment_starts_anew_and_limits_change_while_it_runs,
    ),
    ("another_image_makes_it_anew", another_image_makes_it_anew),
    ("a_new_neighbour_is_told_without_a_restart", a_new_neighbour_is_told_without_a_restart),
    ("what_is_not_named_stays_until_it_is_pruned", what_is_not_named_stays_until_it_is_pruned),
    ("names_that_hold_one_another_are_not_mixed_up", names_that_hold_one_another_are_not_mixed_up),
];

const PAIR: &str = "
  web: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  web-2: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }";

/// The stack `turn` with a change in its text.
fn turn(cloud: &Cloud, from: &str, to: &str) -> String {
    let text = PAIR.replace(from, to);
    assert!(from == to || text != PAIR, "{from}");
    cloud.stack("turn", &text)
}

/// Started from PAIR; the processes of web and web-2.
fn begun(cloud: &Cloud) -> (String, [u64; 2]) {
    let file = turn(cloud, "", "");
    if cloud.said("h1", "turn/web-2")["state"] != "running" {
        cloud.start(&file);
    }
    cloud.ct(&["up", &file, "--prune", "--yes"]).ok();
    (file, pids(cloud))
}

fn pids(cloud: &Cloud) -> [u64; 2] {
    ["turn/web", "turn/web-2"].map(|of| cloud.pid("h1", of))
}

fn a_second_up_changes_nothing(cloud: &Cloud) {
    let (file, before) = begun(cloud);
    assert_eq!(cloud.changed(&file), 0);
    cloud.ct(&["plan", "--exit-code", &file]).ok();
    cloud.ct(&["check", &file]).ok();
    assert_eq!(pids(cloud), before);
}

fn environment_starts_anew_and_limits_change_while_it_runs(cloud: &Cloud) {
    let (_, before) = begun(cloud);
    cloud.inside("h1", "turn/web", "echo mine >/srv/note").ok();
    let file = turn(cloud, "web: { image: bb,", "web: { image: bb, env: { WORD: new },");
    let steps = cloud.steps(&file, &[]);
    assert!(steps.iter().any(|(id, why)| id.ends_with(":web") && why.contains("started anew")), "{steps:?}");
    assert!(steps.iter().all(|(_, why)| !why.contains("\"new\"")), "hidden: {steps:?}");
    cloud.ct(&["plan", "--exit-code", &file]).exits(2);
    cloud.ct(&["up", &file]).ok();
    let after = pids(cloud);
    assert!(after[0] != before[0] && after[1] == before[1], "{before:?} {after:?}");
    assert_eq!(cloud.inside("h1", "turn/web", "cat /srv/note").ok().stdout, "mine\n");
    let file = turn(
        cloud,
        "web: { image: bb,",
        "web: { image: bb, env: { WORD: new }, limits: { memory: 40M, processes: 33, cpus: 0.25 },",
    );
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(cloud), after);
    let script = "cd /sys/fs/cgroup; if test -e cgroup.controllers
        then cd lsx/turn/web; cat memory.max pids.max; cut -d' ' -f1 cpu.max
        else cat memory/lsx/turn/web/memory.limit_in_bytes pids/lsx/turn/web/pids.max cpu/lsx/turn/web/cpu.cfs_quota_us; fi";
    let said = cloud.lab.script("h1", script).ok().stdout;
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["41943040", "33", "25000"]);
    assert_eq!(cloud.changed(&file), 0);
    // Taken away, a limit is no more.
    let file = turn(cloud, "web: { image: bb,", "web: { image: bb, env: { WORD: new },");
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(cloud), after);
    let said = cloud.lab.script("h1", script).ok().stdout;
    let said: Vec<&str> = said.split_whitespace().collect();
    assert!(said[0].len() > 12 || said[0] == "max", "{said:?}");
    assert!(said[1] == "max" && ["-1", "max"].contains(&said[2]), "{said:?}");
}

fn another_image_makes_it_anew(cloud: &Cloud) {
    let (_, before) = begun(cloud);
    cloud.inside("h1", "turn/web", "echo mine >/srv/note").ok();
    let file = turn(cloud, "web: { image: bb,", "web: { image: other,");
    let steps = cloud.steps(&file, &[]);
    assert!(steps.iter().any(|(_, why)| why.contains("made anew")), "{steps:?}");
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(cloud)[1], before[1]);
    assert_eq!(cloud.inside("h1", "turn/web", "cat /etc/mark; ls /srv").ok().stdout, "second");
    assert_eq!(cloud.changed(&file), 0);
}

fn a_new_neighbour_is_told_without_a_restart(cloud: &Cloud) {
    let (_, before) = begun(cloud);
    let more = "\n  late: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("turn", &format!("{PAIR}{more}"));
    cloud.start(&file);
    assert_eq!(pids(cloud), before);
    let hosts = cloud.inside("h1", "turn/web", "cat /etc/hosts; ping -c 1 -W 2 late >/dev/null").ok().stdout;
    assert!(hosts.contains("late"), "{hosts}");
}

fn what_is_not_named_stays_until_it_is_pruned(cloud: &Cloud) {
    let (_, before) = begun(cloud);
    let file = cloud.stack("turn", PAIR.split_once("\n  web-2").unwrap().0);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(cloud), before);
    let said = cloud.ct(&["plan", &file]).ok();
    assert!(said.json()["kept"].to_string().contains("web-2"), "{}", said.stdout);
    let checked = cloud.ct(&["check", &file]).ok().json();
    assert_eq!(checked["kept"], serde_json::json!(["h1: instance web-2"]), "told, and no difference");
    cloud.ct(&["up", &file, "--prune"]).ok();
    assert_eq!(cloud.pid("h1", "turn/web"), before[0]);
    assert!(!cloud.runtime("h1").iter().any(|c| c.contains("web-2")), "{:?}", cloud.runtime("h1"));
    cloud.lab.script("h1", "! test -e /var/lib/lsx/ct/turn/web-2 && ! test -e /run/lsx/ct/turn/web-2").ok();
}

fn names_that_hold_one_another_are_not_mixed_up(cloud: &Cloud) {
    let (file, before) = begun(cloud);
    let second = cloud
        .stack("turn-web", "  web: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }");
    cloud.start(&second);
    let third = cloud.pid("h1", "turn-web/web");
    let third_too = cloud.runtime("h1").iter().filter(|c| c.starts_with("turn")).count();
    assert_eq!(third_too, 3, "{:?}", cloud.runtime("h1"));
    cloud.ct(&["down", &file, "--only", "instances.web"]).ok();
    assert_eq!((cloud.pid("h1", "turn/web-2"), cloud.pid("h1", "turn-web/web")), (before[1], third));
    assert_eq!(cloud.said("h1", "turn/web"), serde_json::Value::Null);
    cloud.ct(&["plan", "--exit-code", &file]).exits(2);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.pid("h1", "turn/web-2"), before[1]);
    // A name that two stacks have must say which.
    let tool = cloud.tool_on("h1");
    cloud.lab.exec("h1", &[&tool, "stop", "web"]).exits(64).says("several stacks");
    cloud.lab.exec("h1", &[&tool, "stop", "turn-web/web"]).ok();
    assert_eq!(cloud.said("h1", "turn-web/web")["state"], "stopped");
    assert_eq!(cloud.pid("h1", "turn/web-2"), before[1]);
    // Together the names of stack and instance are the same.
    let [one, other] = [("turn-web-a", "b"), ("turn-web", "a-b")].map(|(stack, name)| {
        let text =
            format!("  {name}: {{ image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }}");
        cloud.stack(stack, &text)
    });
    cloud.start(&one);
    cloud.start(&other);
    assert_ne!(cloud.pid("h1", "turn-web-a/b"), cloud.pid("h1", "turn-web/a-b"));
    assert_eq!(cloud.changed(&one), 0);
    cloud.end(&one);
    cloud.end(&second);
    assert_eq!(cloud.pid("h1", "turn/web-2"), before[1]);
    cloud.end(&file);
}

//! What another `up` does to running instances: nothing, or only what is needed.

use crate::cloud::Cloud;
use lsx_tests::lab::finish;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_second_up_changes_nothing", a_second_up_changes_nothing),
    (
        "environment_starts_anew_and_limits_change_while_it_runs",
        environment_starts_anew_and_limits_change_while_it_runs,
    ),
    ("another_image_makes_it_anew", another_image_makes_it_anew),
    ("a_new_neighbour_is_told_without_a_restart", a_new_neighbour_is_told_without_a_restart),
    ("what_is_not_named_stays_until_it_is_pruned", what_is_not_named_stays_until_it_is_pruned),
    ("a_move_is_planned_and_the_pipeline_carries_it_out", a_move_is_planned_and_the_pipeline_carries_it_out),
    (
        "a_program_is_run_by_name_and_plain_where_a_person_looks",
        a_program_is_run_by_name_and_plain_where_a_person_looks,
    ),
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
    assert!(steps.iter().any(|(id, why)| id.ends_with(":web") && why.contains("restarted")), "{steps:?}");
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
        then cd lsx/turn/web/in; cat memory.max pids.max; cut -d' ' -f1 cpu.max
        else cat memory/lsx/turn/web/in/memory.limit_in_bytes pids/lsx/turn/web/in/pids.max cpu/lsx/turn/web/in/cpu.cfs_quota_us; fi";
    let said = cloud.lab.script("h1", script).ok().stdout;
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["41943040", "33", "25000"]);
    assert_eq!(cloud.changed(&file), 0);
    // A removed limit is lifted.
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
    assert!(steps.iter().any(|(_, why)| why.contains("recreated")), "{steps:?}");
    cloud.ct(&["up", &file]).ok();
    assert_eq!(pids(cloud)[1], before[1]);
    assert_eq!(cloud.inside("h1", "turn/web", "cat /etc/mark; ls /srv").ok().stdout, "second");
    // Removing the former one took no interface of the new one.
    cloud.inside("h1", "turn/web", "ping -c 1 -W 30 web-2 >/dev/null").ok();
    assert_eq!(cloud.changed(&file), 0);
}

fn a_new_neighbour_is_told_without_a_restart(cloud: &Cloud) {
    let (_, before) = begun(cloud);
    let more = "\n  late: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("turn", &format!("{PAIR}{more}"));
    cloud.start(&file);
    assert_eq!(pids(cloud), before);
    let hosts = cloud.inside("h1", "turn/web", "cat /etc/hosts; ping -c 1 -W 30 late >/dev/null").ok().stdout;
    assert!(hosts.contains("late"), "{hosts}");
}

fn what_is_not_named_stays_until_it_is_pruned(cloud: &Cloud) {
    let (_, before) = begun(cloud);
    let file = cloud.stack("turn", PAIR.split_once("\n  web-2").unwrap().0);
    // Also with -q, as under cron.
    cloud.ct(&["up", "--quiet", &file]).ok().says("h1: instance web-2 is not in the document and is kept");
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
    // A name used by two stacks needs the stack.
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

fn a_move_is_planned_and_the_pipeline_carries_it_out(cloud: &Cloud) {
    let (file, before) = begun(cloud);
    let moved = |args: &[&str]| {
        let plan = cloud.ct(&[args, &["--stack", &file]].concat()).ok().says("--allow-move").json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        assert!(plan["warnings"].as_array().unwrap().iter().all(|w| w["code"] == "ct.plan.moved"), "{plan}");
        let steps = plan["steps"].as_array().unwrap().iter();
        steps.map(|step| (text(&step["host"]), text(&step["id"]))).collect::<Vec<_>>()
    };
    let has = |steps: &[(String, String)], host: &str, id: &str| steps.contains(&(host.into(), id.into()));
    let steps = moved(&["move", "web", "h2"]);
    assert!(
        has(&steps, "h1", "instance.remove:web") && has(&steps, "h2", "instance.create:web"),
        "{steps:?}"
    );
    assert!(!steps.iter().any(|(_, id)| id.ends_with(":web-2")), "{steps:?}");
    let steps = moved(&["drain", "h1"]);
    for name in ["web", "web-2"] {
        let there = has(&steps, "h2", &format!("instance.create:{name}"));
        assert!(there && has(&steps, "h1", &format!("instance.remove:{name}")), "{steps:?}");
    }
    cloud.ct(&["move", "web", "h9", "--stack", &file]).exits(64).says("no host h9");
    cloud.ct(&["move", "nobody", "h2", "--stack", &file]).exits(64).says("nobody");
    cloud.ct(&["drain", "h1", "--to", "h1", "--stack", &file]).exits(64).says("no other host");
    assert_eq!(pids(cloud), before, "a plan has changed something");
    // Applies the plan together with the networks.
    let set = ["--set", "instances.web.host=h2"];
    cloud.ct(&[&["plan", &file], &set[..]].concat()).exits(65).says("--allow-move");
    // Without --allow-move the pipeline stops before the networks are changed, so that the instance stays connected.
    let refused =
        cloud.lab.net(&[&["up", "--quiet", &file], &set[..]].concat()).exits(65).says("--allow-move");
    let mut next = cloud.lab.tool(1, &["--store", &cloud.store, "up"]);
    finish(&mut next, refused.stdout.as_bytes()).exits(66);
    let resolved = cloud.lab.net(&["resolve", &file]).ok().json();
    let gateway = resolved["resolved"]["networks"][0]["gateway_address"].as_str().unwrap().to_owned();
    cloud.inside("h1", "turn/web", &format!("ping -c 1 -W 30 {gateway}")).ok();
    assert_eq!(pids(cloud), before, "a refused move has changed something");
    let shown = cloud.ct(&[&["plan", &file, "--table", "--allow-move"], &set[..]].concat()).ok().stdout;
    assert!(shown.contains("> web  h1 -> h2\n") && shown.ends_with("1 to move\n"), "{shown}");
    let up = [&["up", "--quiet", &file, "--allow-move"], &set[..]].concat();
    cloud.lab.net(&up).ok();
    cloud.ct(&up).ok();
    assert_eq!(cloud.said("h2", "turn/web")["state"], "running");
    assert!(cloud.said("h1", "turn/web").is_null() && cloud.pid("h1", "turn/web-2") == before[1]);
    cloud.inside("h2", "turn/web", &format!("ping -c 1 -W 30 {gateway}")).ok(); // over the tunnel: it is on h1
    cloud.end(&file);
}

fn a_program_is_run_by_name_and_plain_where_a_person_looks(cloud: &Cloud) {
    let (file, _) = begun(cloud);
    let ran = cloud.ct(&["exec", "--stack", &file, "web", "--", "echo", "one two"]).ok().json();
    assert_eq!((&ran["instance"], &ran["stdout"]), (&"web".into(), &"one two\n".into()), "{ran}");
    cloud.ct(&["exec", "--stack", &file, "web"]).exits(64).says("a program, is missing");
    let shown = |args: &[&str]| {
        let command = cloud.command(&[&["exec", "--stack", &file], args].concat());
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        let mut script = std::process::Command::new("script");
        let ran = finish(script.args(["-qec", &line.join(" "), "/dev/null"]), b"").ok();
        ran.stdout.replace("\r\n", "\n")
    };
    assert_eq!(shown(&["web", "hostname"]), "web\n");
    assert_eq!(shown(&["--on", "web*", "hostname"]), "web    web\nweb-2  web-2\n");
}

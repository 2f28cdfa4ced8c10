//! Instances that end by themselves: the exit code is known, a finished job stays finished, and after a power cut all
//! others are restored.

use crate::host::{Host, furnish};
use lsx_tests::lab::{Lab, Ran, finish, until};
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[
    ("what_has_ended_says_how", what_has_ended_says_how),
    (
        "what_an_instance_puts_in_place_of_its_note_is_no_note",
        what_an_instance_puts_in_place_of_its_note_is_no_note,
    ),
    ("a_finished_job_stays_finished", a_finished_job_stays_finished),
    ("all_that_is_kept_in_run_may_go", all_that_is_kept_in_run_may_go),
    ("a_long_power_cut_leaves_nobody_stopped", a_long_power_cut_leaves_nobody_stopped),
];

/// A job with this command.
fn job(host: &Host, name: &str, restart: &str, script: &str) -> Value {
    let mut wanted = host.instance(name);
    wanted["restart"] = json!(restart);
    wanted["command"] = json!(["/bin/sh", "-c", script]);
    host.ok(&json!({"verb": "create", "instance": wanted}));
    wanted
}

fn condition(host: &Host, name: &str) -> Value {
    let all = host.ok(&json!({"verb": "list"}));
    all.as_array().unwrap().iter().find(|i| i["name"] == name).unwrap()["condition"].clone()
}

fn outcome(host: &Host, name: &str) -> (Value, Value) {
    let condition = condition(host, name);
    (condition["state"].clone(), condition["exit"]["code"].clone())
}

fn what_has_ended_says_how(host: &Host) {
    let good = job(host, "good", "no", "echo one >>/runs");
    host.ok(&json!({"verb": "start", "instance": good}));
    assert_eq!(outcome(host, "good"), (json!("exited"), json!(0)));
    assert_eq!(host.query("/1.0/instances/s-good")["status"], "Stopped");
    let note = host.script("readlink /var/lib/*/storage-pools/*/containers/s-good/rootfs/.lsx-exit/note");
    assert!(note.starts_with("/0/20"), "{note}");
    assert_eq!(host.script("$CLI file pull s-good/runs -"), "one\n");
    // `start` runs it again.
    host.ok(&json!({"verb": "start", "instance": good}));
    assert_eq!(host.script("$CLI file pull s-good/runs -"), "one\none\n");
    for (name, restart, state) in [("bad", "no", "exited"), ("again", "on-failure", "stopped")] {
        let mut bad = host.instance(name);
        (bad["restart"], bad["user"]) = (json!(restart), json!("app"));
        bad["command"] = json!(["/bin/sh", "-c", "exit 3"]);
        host.ok(&json!({"verb": "create", "instance": bad}));
        let failure = host.fails(&json!({"verb": "start", "instance": bad}), "ct.lxd.ended");
        assert!(failure["causes"].to_string().contains("it ended with 3 at 20"), "{failure}");
        assert_eq!(outcome(host, name), (json!(state), json!(3)));
    }
    // A stopped one has not ended by itself, whatever its exit code; nor has a killed one.
    let asked = job(host, "asked", "no", "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    for grace in [10_000, 0] {
        host.ok(&json!({"verb": "start", "instance": asked}));
        assert_eq!(outcome(host, "asked").0, json!("running"));
        host.ok(&json!({"verb": "stop", "name": "asked", "grace_ms": grace}));
        assert_eq!(outcome(host, "asked"), (json!("stopped"), Value::Null), "{grace}");
    }
    ["good", "bad", "again", "asked"]
        .iter()
        .for_each(|name| _ = host.ok(&json!({"verb": "remove", "name": name})));
    host.empty();
}

/// A forged record blocks nobody, and is not believed.
fn what_an_instance_puts_in_place_of_its_note_is_no_note(host: &Host) {
    for (n, evil) in [
        "mkdir /.lsx-exit/note",
        "ln -s /etc/passwd /.lsx-exit/note",
        "busybox truncate -s 3G /.lsx-exit/note",
        "ln -s \"$(printf '/0/\\033[2Jgone')\" /.lsx-exit/note",
        "busybox mkfifo /.lsx-exit/note",
        "busybox rmdir /.lsx-exit; busybox mkfifo /.lsx-exit",
        "busybox rmdir /.lsx-exit; ln -s /dev /.lsx-exit",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("evil-{n}");
        let wanted = job(host, &name, "no", &format!("{evil}; sleep 0.3; exit 0"));
        host.act(&json!({"verb": "start", "instance": wanted}));
        assert!(
            until(30, || host.query(&format!("/1.0/instances/s-{name}"))["status"] == "Stopped"),
            "{evil}"
        );
        assert_eq!(outcome(host, &name), (json!("stopped"), Value::Null), "{evil}");
        host.ok(&json!({"verb": "remove", "name": name}));
    }
    host.empty();
}

/// lsx-ct on the operator's machine of a lab.
pub(crate) fn ct(lab: &Lab, args: &[&str]) -> Ran {
    let store = lab.folder.path().join("store");
    finish(&mut lab.tool(1, &[&["--store", store.to_str().unwrap()], args].concat()), b"")
}

pub(crate) fn changed(lab: &Lab, file: &str) -> u64 {
    ct(lab, &["up", file]).ok().json()["status"]["ct"]["changed"].as_u64().unwrap()
}

pub(crate) fn seen(lab: &Lab, file: &str, name: &str) -> Value {
    let all = ct(lab, &["observe", file]).ok().lines();
    let mut instances = all.iter().flat_map(|host| host["instances"].as_array().unwrap());
    instances.find(|i| i["name"] == name).unwrap_or(&Value::Null).clone()
}

pub(crate) fn stack(lab: &Lab, driver: &str, name: &str, hosts: usize, instances: &str) -> String {
    let hosts: String = (1..=hosts)
        .map(|n| format!("  h{n}: {{ address: 198.18.0.{0}, ssh: root@198.18.0.{0} }}\n", 10 + n))
        .collect();
    let text = format!(
        "stack: {name}\nhosts:\n{hosts}networks: {{ lan: {{ cidr: 10.131.0.0/24, gateway: h1 }} }}
images: {{ bb: {{ oci: 'tar:images/busybox.tar' }} }}
defaults: {{ host: h1, driver: {driver} }}
instances:{instances}\n"
    );
    lab.file(&format!("{name}.yaml"), &text)
}

/// The same case as in `tests/ct-live` for the driver oci.
fn a_finished_job_stays_finished(host: &Host) {
    furnish(host);
    let lab = &host.lab;
    let document = |line: &str, more: &str| {
        let text = format!(
            "
  job: {{ image: bb, networks: [lan], restart: no, volumes: {{ data: /data }}, command: [sh, -c, \"echo {line} >>/data/runs\"] }}
  side: {{ image: bb, networks: [lan], needs: [job], command: [sleep, \"1000\"] }}{more}"
        );
        stack(lab, host.engine.driver, "job", 1, &text)
    };
    let runs = || host.script("cat /var/lib/lsx/volumes/job/data/runs");
    let file = document("one", "");
    lab.net(&["up", "--quiet", &file]).ok();
    ct(lab, &["up", &file]).ok();
    assert_eq!((runs().as_str(), changed(lab, &file)), ("one\n", 0));
    assert_eq!(seen(lab, &file, "job")["state"], "exited");
    ct(lab, &["check", &file]).ok();
    // An instance joins its network, and its limits change, which does not run it again.
    let file = document("one", "\n  late: { image: bb, networks: [lan], command: [sleep, \"1000\"] }");
    lab.net(&["up", "--quiet", &file]).ok();
    ct(lab, &["up", &file]).ok();
    let late = seen(lab, &file, "late")["addresses"][0].as_str().unwrap().to_owned();
    let hosts = host.script("$CLI file pull job-job/etc/hosts -");
    assert!(hosts.contains(&format!("{late}\tlate.lan.internal late\n")), "{hosts}");
    assert_eq!((runs().as_str(), changed(lab, &file)), ("one\n", 0));
    // Nor does a power cut, and its dependents start.
    lab.verb(&["kill", "h1"]);
    lab.verb(&["boot", "h1", "--wait"]);
    assert!(until(60, || host.query("/1.0/instances/job-side")["status"] == "Running"));
    assert_eq!((runs().as_str(), changed(lab, &file)), ("one\n", 0));
    // A change of its own definition does, and a failed one reports its exit code.
    let file = document("two >>/data/runs; exit 4; echo", "");
    ct(lab, &["up", &file]).exits(1).says("it ended with 4");
    assert_eq!(runs(), "one\ntwo\n");
    let failed = seen(lab, &file, "job");
    assert_eq!((&failed["state"], &failed["exit"]["code"]), (&json!("exited"), &json!(4)));
    ct(lab, &["check", &file]).exits(2);
    ct(lab, &["down", &file, "--destroy-data", "job"]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
    host.empty();
}

/// As in `tests/ct-live` for instances of driver oci; one of those exists, too.
fn all_that_is_kept_in_run_may_go(host: &Host) {
    furnish(host);
    let lab = &host.lab;
    host.script("rm -rf /var/lib/lsx/images");
    let before = host.picture();
    lab.file("word.txt", "geheim");
    let text = "
  it: { image: bb, networks: [lan], secrets: [word], command: [sleep, \"1001\"] }
  plain: { image: bb, networks: [lan], command: [sleep, \"1002\"] }
  alone: { image: bb, driver: oci, networks: [lan], command: [sleep, \"1003\"] }
secrets: { word: \"file:word.txt\" }";
    let file = stack(lab, host.engine.driver, "lost", 1, text);
    let runs = || host.script("ps -eo args= | grep -E '^sleep 100[123]$' | sort");
    lab.net(&["up", "--quiet", &file]).ok();
    ct(lab, &["up", &file]).ok();
    let pid = |name: &str| host.query(&format!("/1.0/instances/lost-{name}/state"))["pid"].clone();
    let plain = pid("plain");
    for again in [true, false] {
        host.script("test -d /run/lsx && rm -rf /run/lsx");
        assert_eq!(runs(), "sleep 1001\nsleep 1002\nsleep 1003\n", "everything keeps running");
        let seen = seen(lab, &file, "it");
        assert!(seen["why"].as_str().unwrap().contains("secret word is gone"), "{seen}");
        if again {
            lab.net(&["check", &file]).exits(2);
            ct(lab, &["check", &file]).exits(2);
            lab.net(&["up", "--quiet", &file]).ok();
            ct(lab, &["up", &file]).ok();
            assert_eq!(changed(lab, &file), 0);
            ct(lab, &["check", &file]).ok();
            assert_eq!(host.script("$CLI exec lost-it -- cat /run/secrets/word"), "geheim");
            host.script("$CLI exec lost-it -- ping -c 1 -W 5 alone.lan.internal");
            assert_eq!(pid("plain"), plain, "one that lacks nothing is not changed");
        }
    }
    ct(lab, &["down", &file, "--destroy-data", "lost"]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
    assert_eq!(host.picture(), before);
    assert_eq!(host.script("pgrep -fc '^sleep 100[123]$' || true"), "0\n");
}

/// The run at boot has a very short deadline; an instance that waits for the other host waits by itself, and longer than a
/// run may take.
fn a_long_power_cut_leaves_nobody_stopped(host: &Host) {
    let driver = host.engine.driver;
    let tools = lsx_tests::tools();
    let path = |name: &str| tools.iter().find(|t| t.name == name).unwrap().path.display().to_string();
    let lab = &Lab::with(driver, 2, &["--with", driver], &[&path("lsx-net"), &path("lsx-ct")]);
    lab.furnish(&[]);
    let text = "
  db: { image: bb, driver: oci, host: h2, networks: [lan], ready: { tcp: 80, timeout: 3s }, command: [httpd, -f, -p, \"80\"] }
  web: { image: bb, networks: [lan], needs: [db], command: [sleep, \"1000\"] }
  next: { image: bb, networks: [lan], needs: [web], command: [sleep, \"1000\"] }
  free: { image: bb, networks: [lan], command: [sleep, \"1000\"] }";
    let file = stack(lab, driver, "cut", 2, text);
    lab.net(&["up", "--quiet", &file]).ok();
    ct(lab, &["up", &file]).ok();
    let entry = "/etc/lsx/boot.d/50-cut-ct";
    lab.script("h1", &format!("sed -i 's/ up --quiet/ up --deadline 1s --quiet/' {entry}")).ok();
    ["h1", "h2"].iter().for_each(|name| _ = lab.verb(&["kill", name]));
    lab.verb(&["boot", "h1", "--wait"]);
    let client = host.engine.client;
    let status = |name: &str| {
        lab.exec("h1", &[client, "query", &format!("/1.0/instances/cut-{name}")]).ok().json()["status"]
            .clone()
    };
    assert!(until(60, || status("free") == "Running"), "an instance without needs runs");
    let waits = |name: &str| {
        lab.script("h1", &format!("grep -o '\"state\":\"[a-z]*\"' /run/lsx/ct/cut/{name}/state.json; pgrep -fc '[s]upervise cut {name} --beside'")).stdout
    };
    // Four times the limit of a deployment, and twelve times that of the run at boot.
    std::thread::sleep(std::time::Duration::from_secs(12));
    for name in ["web", "next"] {
        assert_eq!(
            (waits(name).as_str(), status(name)),
            ("\"state\":\"waiting\"\n1\n", json!("Stopped")),
            "{name}"
        );
    }
    let log = lab.script("h1", "cat /var/log/lsx-boot.log").ok().stdout;
    assert!(!log.contains("within") && !log.contains("undo") && !log.contains("is needed again"), "{log}");
    lab.verb(&["boot", "h2", "--wait"]);
    for name in ["web", "next"] {
        assert!(until(60, || status(name) == "Running"), "{name}: {}", waits(name));
    }
    for name in ["web", "next", "free"] {
        let watched = || waits(name) == "\"state\":\"running\"\n1\n";
        assert!(until(30, watched), "{name} waits no more, and its disk is watched: {}", waits(name));
    }
    lab.script("h1", &format!("sed -i 's/ --deadline 1s//' {entry}")).ok();
    assert_eq!(changed(lab, &file), 0, "no change was needed");
    ct(lab, &["down", &file]).ok();
    lab.net(&["down", "--quiet", &file]).ok();
}

//! Dependencies across hosts, and messages when something does not become ready.

use crate::cloud::Cloud;
use lsx_tests::lab::{finish, until, wait};
use std::process::Stdio;

pub(crate) const CASES: &[crate::Case] = &[
    ("what_is_needed_is_ready_first_across_hosts", what_is_needed_is_ready_first_across_hosts),
    (
        "one_that_is_never_ready_says_why_and_the_others_stand",
        one_that_is_never_ready_says_why_and_the_others_stand,
    ),
    ("one_that_ends_shows_how", one_that_ends_shows_how),
    (
        "every_failure_is_told_and_nobody_waits_for_what_is_lost",
        every_failure_is_told_and_nobody_waits_for_what_is_lost,
    ),
    (
        "an_interrupt_ends_a_wait_at_once_and_what_runs_stays",
        an_interrupt_ends_a_wait_at_once_and_what_runs_stays,
    ),
    ("rollback_takes_back_what_was_begun", rollback_takes_back_what_was_begun),
    ("rollback_brings_back_what_was_written", rollback_brings_back_what_was_written),
    ("cloud_init_is_waited_for_and_told_who_it_is", cloud_init_is_waited_for_and_told_who_it_is),
];

fn what_is_needed_is_ready_first_across_hosts(cloud: &Cloud) {
    let text = "
  app: { image: bb, host: h1, networks: [lan], needs: [mid], command: [sleep, \"1000\"] }
  mid: { image: bb, host: h1, networks: [lan], needs: [base], ready: { command: [test, -e, /tmp/ok] }, command: [sh, -c, \"sleep 1; touch /tmp/ok; exec sleep 1000\"] }
  base: { image: bb, host: h2, networks: [lan], ready: { tcp: 80 }, command: [sh, -c, \"sleep 1; exec httpd -f -p 80\"] }";
    let file = cloud.stack("order", text);
    cloud.start(&file);
    let at = |host: &str, name: &str| {
        cloud.said(host, &format!("order/{name}"))["started_at"].as_str().unwrap().to_owned()
    };
    let (base, mid, app) = (at("h2", "base"), at("h1", "mid"), at("h1", "app"));
    assert!(base < mid && mid < app, "{base} {mid} {app}");
    cloud.ct(&["check", &file]).ok();
    // A restarted instance does not stop its dependents; a stopped one is reported.
    let tool = cloud.tool_on("h2");
    cloud.lab.exec("h2", &[&tool, "stop", "base"]).ok();
    cloud.ct(&["check", &file]).exits(2);
    cloud.ct(&["plan", "--exit-code", &file]).exits(2);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(at("h1", "app"), app);
    cloud.end(&file);
}

fn one_that_is_never_ready_says_why_and_the_others_stand(cloud: &Cloud) {
    let text = "
  good: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  bad: { image: bb, host: h1, networks: [lan], ready: { tcp: 81, timeout: 2s }, command: [sh, -c, \"echo the port is closed; exec sleep 1000\"] }
  after: { image: bb, host: h1, networks: [lan], needs: [bad], command: [sleep, \"1000\"] }";
    let file = cloud.stack("never", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let ran = cloud
        .ct(&["up", &file])
        .exits(1)
        .says("bad is not ready")
        .says("tcp:")
        .says(":81")
        .says("the port is closed");
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    assert_eq!(cloud.said("h1", "never/good")["state"], "running");
    assert_eq!(cloud.said("h1", "never/bad")["state"], "starting");
    assert!(cloud.said("h1", "never/after")["started_at"].is_null());
    let text = text
        .replace("81, timeout: 2s", "82, timeout: 60s")
        .replace("sh, -c, \"echo the port is closed; exec sleep 1000\"", "httpd, -f, -p, \"82\"");
    let file = cloud.stack("never", &text);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.said("h1", "never/after")["state"], "running");
    cloud.end(&file);
}

/// Two instances fail on one host, one on another; one that would wait an hour for one of them stops waiting, on another host.
fn every_failure_is_told_and_nobody_waits_for_what_is_lost(cloud: &Cloud) {
    let text = "
  web: { image: bb, host: h1, networks: [lan], needs: [db], command: [sleep, \"1000\"] }
  front: { image: bb, host: h1, networks: [lan], needs: [web], command: [sleep, \"1000\"] }
  lone: { image: bb, host: h1, networks: [lan], restart: no, ready: { tcp: 80, timeout: 1h }, command: [sh, -c, \"exit 7\"] }
  db: { image: bb, host: h2, networks: [lan], restart: no, ready: { tcp: 80, timeout: 1h }, command: [sh, -c, \"sleep 3; exit 9\"] }
  two: { image: bb, host: h2, networks: [lan], restart: no, ready: { tcp: 80, timeout: 1h }, command: [sh, -c, \"exit 8\"] }
  good: { image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("every", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let report = cloud.lab.folder.path().join("every.json").display().to_string();
    let ran = cloud.ct(&["up", &file, "--deadline", "30m", "--report", &report]).exits(1);
    let mut ran = ran.says("db has failed on h2: db is not ready");
    for words in [
        "lone is not ready",
        "db is not ready",
        "two is not ready",
        "web is not ready",
        "front was not started: web failed",
        "ended with 7",
        "ended with 8",
        "ended with 9",
    ] {
        ran = ran.says(words);
    }
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let told = |host: &str| {
        let host = report["hosts"].as_array().unwrap().iter().find(|h| h["host"] == host).unwrap();
        let all = [&host["failure"]].into_iter().chain(host["more"].as_array().into_iter().flatten());
        let mut all: Vec<String> =
            all.map(|f| f["message"].as_str().unwrap().split(' ').next().unwrap().to_owned()).collect();
        all.sort();
        all.join(" ")
    };
    assert_eq!((told("h1"), told("h2")), ("front lone web".to_owned(), "db two".to_owned()));
    assert_eq!(cloud.said("h2", "every/good")["state"], "running");
    assert_eq!(cloud.said("h1", "every/web")["state"], "waiting", "it goes on by itself once db is there");
    cloud.end(&file);
}

fn one_that_ends_shows_how(cloud: &Cloud) {
    let text = "
  ends: { image: bb, host: h1, networks: [lan], restart: no, ready: { tcp: 80 }, command: [sh, -c, \"echo last words; exit 9\"] }
  again: { image: bb, host: h2, networks: [lan], restart: always, ready: { tcp: 80 }, command: [sh, -c, \"echo once more; exit 8\"] }";
    let file = cloud.stack("ends", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let ran = cloud
        .ct(&["up", &file])
        .exits(1)
        .says("last words")
        .says("once more")
        .says("ended with 9")
        .says("ended with 8");
    assert!(ran.stderr.lines().count() < 60, "{}", ran.stderr);
    let said = cloud.said("h1", "ends/ends");
    assert_eq!((&said["state"], &said["exit"]["code"]), (&"exited".into(), &9.into()), "{said}");
    let said = cloud.said("h2", "ends/again");
    assert!(said["restarts"].as_u64() >= Some(3) && said["exit"]["code"] == 8, "{said}");
    cloud.end(&file);
}

fn an_interrupt_ends_a_wait_at_once_and_what_runs_stays(cloud: &Cloud) {
    let text = "
  slow: { image: bb, host: h1, networks: [lan], ready: { tcp: 81, timeout: 10m }, command: [sleep, \"1000\"] }";
    let file = cloud.stack("slow", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let mut up = cloud.command(&["up", &file]);
    let up = up.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(until(30, || cloud.said("h1", "slow/slow")["state"] == "starting"), "it never waited");
    let pid = cloud.pid("h1", "slow/slow");
    let _ = finish(std::process::Command::new("kill").args(["-s", "INT", &up.id().to_string()]), b"");
    // Ten minutes would be longer than any program of a test may take.
    let ran = wait(up, "up".to_owned()).exits(130).says("interrupted").says("slow");
    assert!(ran.stdout.is_empty() && !ran.stderr.contains(['\x1b', '\r']), "{}", ran.stderr);
    assert!(!ran.stderr.contains(" s of "), "a live line without a terminal: {}", ran.stderr);
    assert_eq!(cloud.said("h1", "slow/slow")["state"], "starting");
    cloud.lab.exec("h1", &["test", "-d", &format!("/proc/{pid}")]).ok();
    cloud.end(&file);
}

fn rollback_brings_back_what_was_written(cloud: &Cloud) {
    let text = "
  one: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  gone: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.stack("written", text);
    cloud.start(&file);
    for name in ["one", "gone"] {
        cloud.inside("h1", &format!("written/{name}"), &format!("echo {name} wrote this >/srv/work")).ok();
    }
    let address = |name: &str| cloud.seen(&file, name)["addresses"].clone();
    let addresses = ["one", "gone"].map(address);
    let ids = || cloud.lab.script("h1", "cat /var/lib/lsx/ct/written/*/ids").ok().stdout;
    let before = (cloud.snapshot("h1"), ids());
    // A new image for one, another removed, and a third that does not become ready.
    let next = || {
        cloud.stack(
        "written",
        "
  one: { image: other, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  bad: { image: bb, host: h1, networks: [lan], needs: [one], ready: { tcp: 81, timeout: 1s }, command: [sleep, \"1000\"] }",
    )
    };
    cloud.ct(&["up", &next(), "--prune", "--yes", "--rollback"]).exits(1).says("bad is not ready");
    for name in ["one", "gone"] {
        let wrote = cloud.inside("h1", &format!("written/{name}"), "cat /srv/work").ok().stdout;
        assert_eq!(wrote, format!("{name} wrote this\n"));
    }
    assert_eq!(ids(), before.1);
    let file = cloud.stack("written", text);
    assert_eq!(cloud.changed(&file), 0);
    assert_eq!(["one", "gone"].map(address), addresses);
    let kind = |line: &&String| line.starts_with("folder: ") || line.starts_with("program: ");
    let left: Vec<String> = cloud.snapshot("h1").difference(&before.0).filter(kind).cloned().collect();
    assert!(left.iter().all(|l| l.contains("/var/lib/lsx/images")), "{left:#?}");
    // Without --rollback the previous state is lost, and nothing is left aside.
    cloud.ct(&["up", &next(), "--prune", "--yes"]).exits(1);
    cloud.lab.script("h1", "test -z \"$(ls -A /var/lib/lsx/ct/written | grep '^[.]')\"").ok();
    cloud.inside("h1", "written/one", "test ! -e /srv/work").ok();
    // What a kill left aside is removed by the next run.
    cloud.lab.script("h1", "cp -a /var/lib/lsx/ct/written/one /var/lib/lsx/ct/written/.one").ok();
    cloud.ct(&["up", &cloud.stack("written", text)]).ok();
    cloud.lab.script("h1", "test ! -e /var/lib/lsx/ct/written/.one").ok();
    cloud.end(&file);
}

fn rollback_takes_back_what_was_begun(cloud: &Cloud) {
    let text = "
  good: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  bad: { image: bb, host: h1, networks: [lan], needs: [good], ready: { tcp: 81, timeout: 1s }, command: [sleep, \"1000\"] }";
    let file = cloud.stack("back", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let before = cloud.snapshot("h1");
    cloud.ct(&["up", &file, "--rollback"]).exits(1);
    let after = cloud.snapshot("h1");
    assert!(cloud.runtime("h1").is_empty(), "{:?}", cloud.runtime("h1"));
    let left: Vec<&String> =
        after.difference(&before).filter(|l| !l.contains("/var/lib/lsx/images")).collect();
    assert!(left.is_empty(), "{left:#?}");
    cloud.end(&file);
}

/// With a fake cloud-init, since no image here has the real one; its data is the same.
fn cloud_init_is_waited_for_and_told_who_it_is(cloud: &Cloud) {
    let said = "case $1 in status) if test -e /srv/done; then echo 'status: done'; else echo 'status: running'; fi;; esac\n";
    cloud.lab.file("fake-cloud-init", &format!("#!/bin/sh\n{said}"));
    cloud.lab.file("user-data", "#cloud-config\n{}\n");
    let text = "
  seeded: { image: bb, host: h1, networks: [lan], hostname: other, cloud_init: user-data, files: { /bin/cloud-init: { source: fake-cloud-init, mode: 0755 } },
            command: [sh, -c, \"sleep 2; touch /srv/done; exec sleep 1000\"] }
  after: { image: bb, host: h1, networks: [lan], needs: [seeded], command: [sleep, \"1000\"] }";
    let file = cloud.stack("seed", text);
    cloud.start(&file);
    cloud.inside("h1", "seed/seeded", "test -e /srv/done").ok();
    let seed = "/var/lib/cloud/seed/nocloud";
    let read = |name: &str| cloud.inside("h1", "seed/seeded", &format!("cat {seed}/{name}")).ok().stdout;
    let id =
        |text: String| text.lines().find_map(|l| l.strip_prefix("instance-id: ").map(str::to_owned)).unwrap();
    let first = read("meta-data");
    assert!(first.contains("local-hostname: other\n"), "{first}");
    assert!(read("vendor-data").starts_with("#cloud-config\npreserve_hostname: true\n"));
    assert!(read("network-config").contains("config: disabled"));
    assert_eq!(read("user-data"), "#cloud-config\n{}\n");
    assert_eq!(cloud.changed(&file), 0);
    cloud.lab.file("user-data", "#cloud-config\nruncmd: [date]\n");
    cloud.ct(&["up", &file]).ok();
    assert_ne!(id(read("meta-data")), id(first), "other data are another machine's");
    cloud.end(&file);
}

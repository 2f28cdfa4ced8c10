//! What instances need of others: nobody waits for what is lost, and each failure is told. The same properties as in
//! `tests/ct-live` with the driver oci.

use crate::host::{Host, furnish};
use crate::whole::{ct, stack};
use lsx_tests::lab::{Ran, until};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("every_failure_is_told_and_nobody_waits_for_what_is_lost", every_failure_is_told),
    ("nobody_waits_for_what_ended_before_this_run", nobody_waits_for_what_ended_before),
    ("an_instance_starts_when_what_it_needs_is_ready", an_instance_starts_when_what_it_needs_is_ready),
];

/// An hour, which no test waits for.
const HOUR: &str = "ready: { tcp: 80, timeout: 1h }";

/// Instances of a stack, by the answer of the server.
fn status(host: &Host, name: &str) -> Option<String> {
    let all = host.query("/1.0/instances?recursion=1");
    let found = all.as_array().unwrap().iter().find(|i| i["name"] == name)?;
    Some(found["status"].as_str().unwrap().to_owned())
}

fn state(host: &Host, file: &str, name: &str) -> Value {
    let all = ct(host, &["observe", file]).ok().lines();
    let found = all[0]["instances"].as_array().unwrap().iter().find(|i| i["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {all:?}"))["state"].clone()
}

fn end(host: &Host, file: &str) {
    ct(host, &["down", file]).ok();
    host.lab.net(&["down", "--quiet", file]).ok();
    host.empty();
}

fn up(host: &Host, file: &str, more: &[&str]) -> Ran {
    host.lab.net(&["up", "--quiet", file]).ok();
    ct(host, &[&["up", file, "--deadline", "30m"], more].concat())
}

fn every_failure_is_told(host: &Host) {
    furnish(host);
    let text = format!(
        "  web: {{ image: bb, networks: [lan], needs: [db], command: [sleep, \"1000\"] }}
  front: {{ image: bb, networks: [lan], needs: [web], command: [sleep, \"1000\"] }}
  db: {{ image: bb, networks: [lan], restart: no, {HOUR}, command: [sh, -c, \"sleep 2; exit 9\"] }}
  two: {{ image: bb, networks: [lan], restart: no, {HOUR}, command: [sh, -c, \"exit 8\"] }}
  good: {{ image: bb, networks: [lan], command: [sleep, \"1000\"] }}
"
    );
    let file = stack(host, "every", &text);
    let report = host.lab.folder.path().join("every.json");
    let ran = up(host, &file, &["--report", report.to_str().unwrap()]).exits(1);
    let ran = ran.says("db is not ready").says("two is not ready").says("ended with 9").says("ended with 8");
    ran.says("web was not started: db failed").says("front was not started: web failed");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let told = &report["hosts"][0];
    let all = [&told["failure"]].into_iter().chain(told["more"].as_array().into_iter().flatten());
    let mut names: Vec<&str> =
        all.map(|failure| failure["message"].as_str().unwrap().split(' ').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["db", "front", "two", "web"], "{report}");
    assert_eq!(status(host, "every-good").unwrap(), "Running");
    assert_ne!(status(host, "every-web").as_deref(), Some("Running"));
    end(host, &file);
}

fn nobody_waits_for_what_ended_before(host: &Host) {
    furnish(host);
    let text = |db: &str| {
        format!(
            "  web: {{ image: bb, networks: [lan], needs: [db], command: [sleep, \"1000\"] }}
  db: {{ image: bb, networks: [lan], restart: no, {HOUR}, command: [{db}] }}
"
        )
    };
    let file = stack(host, "before", &text("sh, -c, \"exit 9\""));
    up(host, &file, &["--only", "instances.db"]).exits(1).says("db is not ready");
    assert_eq!(state(host, &file, "db"), "exited");
    // This run does not start it, and knows nothing of the other one.
    let ran = up(host, &file, &["--only", "instances.web"]).exits(1);
    ran.says("web").says("db has ended with 9 and is not started again");
    assert_ne!(status(host, "before-web").as_deref(), Some("Running"));
    // Repaired, both come up.
    let file = stack(host, "before", &text("httpd, -f, -p, \"80\""));
    up(host, &file, &[]).ok();
    assert_eq!(status(host, "before-web").unwrap(), "Running");
    assert_eq!(ct(host, &["up", &file]).ok().json()["status"]["ct"]["changed"], 0);
    end(host, &file);
}

fn an_instance_starts_when_what_it_needs_is_ready(host: &Host) {
    furnish(host);
    let text = format!(
        "  web: {{ image: bb, networks: [lan], needs: [db, job], command: [sleep, \"1000\"] }}
  db: {{ image: bb, networks: [lan], {HOUR},
         command: [sh, -c, \"until test -e /go; do sleep 0.1; done; exec httpd -f -p 80\"] }}
  job: {{ image: bb, networks: [lan], restart: no, command: [sh, -c, \"exit 0\"] }}
"
    );
    let file = stack(host, "waits", &text);
    let report = host.lab.folder.path().join("waits.json");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| up(host, &file, &["--report", report.to_str().unwrap()]));
        // Its program runs, but nobody is let go on by that.
        let begun = || status(host, "waits-db").as_deref() == Some("Running");
        assert!(until(120, begun), "db was not started");
        let done = || status(host, "waits-job").as_deref() == Some("Stopped");
        assert!(until(120, done), "the job was not run");
        assert_ne!(status(host, "waits-web").as_deref(), Some("Running"), "db is not ready");
        host.script("$CLI exec waits-db -- touch /go");
        run.join().unwrap().ok();
    });
    assert_eq!(status(host, "waits-web").unwrap(), "Running");
    assert_eq!(state(host, &file, "job"), "exited");
    end(host, &file);
}

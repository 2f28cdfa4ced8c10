//! The tool from the operator's machine: a stack is created, changed, and removed completely.

use crate::host::{Host, furnish};
use lsx_tests::lab::{Ran, finish};
use serde_json::json;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_stack_comes_up_and_goes_without_a_trace", a_stack_comes_up_and_goes_without_a_trace),
    ("rollback_brings_back_what_was_written", rollback_brings_back_what_was_written),
    ("a_plan_refuses_a_name_that_another_stack_has", a_plan_refuses_a_name_that_another_stack_has),
];

pub(crate) fn stack(host: &Host, name: &str, instances: &str) -> String {
    let text = format!(
        "stack: {name}
hosts: {{ h1: {{ address: 198.18.0.11, ssh: root@198.18.0.11 }} }}
networks: {{ lan: {{ cidr: 10.130.0.0/24, gateway: h1 }} }}
images: {{ bb: {{ oci: 'tar:images/busybox.tar' }}, ssh: {{ oci: 'tar:images/ssh.tar' }} }}
defaults: {{ host: h1, driver: {} }}
instances:
{instances}",
        host.engine.driver
    );
    host.lab.file(&format!("{name}.yaml"), &text)
}

pub(crate) fn ct(host: &Host, args: &[&str]) -> Ran {
    let store = host.lab.folder.path().join("store");
    finish(&mut host.lab.tool(1, &[&["--store", store.to_str().unwrap()], args].concat()), b"")
}

const INSTANCES: &str = r#"
  db:
    image: bb
    networks: [lan]
    workdir: /srv
    env: { WORDS: "a  b" }
    command: [/bin/sh, -c, "echo \"<$1>\" >/srv/said; exec sleep 1000", sh, "two  blanks"]
    recipes: [first.sh]
    ready: { command: [test, -e, /srv/log], timeout: 60s }
    stop_grace: 200s
  web:
    image: bb
    networks: [lan]
    needs: [db]
    command: [httpd, -f, -p, "80", -h, /srv]
    files: { /srv/index.html: page }
    ready: { http: ":80/", timeout: 60s }
    stop_grace: 200s
"#;

fn a_stack_comes_up_and_goes_without_a_trace(host: &Host) {
    furnish(host);
    host.script("rm -rf /var/lib/lsx/*"); // other cases have no `down`, which tidies that
    let before = host.picture();
    let file = stack(host, "whole", INSTANCES);
    host.lab.net(&["up", "--quiet", &file]).ok();
    let up = ct(host, &["up", &file]).ok().json();
    assert_eq!(up["status"]["ct"]["ok"], true, "{}", up["status"]);
    assert_eq!(host.script("$CLI exec whole-db -- cat /srv/log"), "first /bin/sh /srv a  b\n");
    assert_eq!(host.script("$CLI exec whole-db -- cat /srv/said"), "<two  blanks>\n");
    assert_eq!(host.script("$CLI exec whole-db -- wget -qO- http://web.lan.internal/"), "hello\n");
    assert_eq!(ct(host, &["plan", &file]).ok().json()["steps"], json!([]));
    let more = INSTANCES.replace("[first.sh]", "[first.sh, second.sh]");
    let file = stack(host, "whole", &more);
    let plan = ct(host, &["plan", &file]).ok().json();
    let why = |name: &str| -> Option<String> {
        let step = plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == name)?;
        Some(step["why"].as_str().unwrap().to_owned())
    };
    assert!(why("instance.change:db").unwrap().contains("changed while it runs"), "{plan}");
    assert_eq!(why("instance.change:web"), None);
    let pid = || host.query("/1.0/instances/whole-db/state")["pid"].clone();
    let first = pid();
    ct(host, &["up", &file]).ok();
    let log = host.script("$CLI exec whole-db -- cat /srv/log");
    assert_eq!(log, "first /bin/sh /srv a  b\nsecond\n");
    assert_eq!(pid(), first, "nobody was disturbed");
    assert_eq!(ct(host, &["up", &file]).ok().json()["status"]["ct"]["changed"], 0);
    let begin = std::time::Instant::now();
    ct(host, &["down", &file]).ok();
    // One that does not hear it would take its grace.
    assert!(begin.elapsed().as_secs() < 190, "an application hears the signal: {:?}", begin.elapsed());
    host.lab.net(&["down", "--quiet", &file]).ok();
    assert_eq!(host.picture(), before);
    host.empty();
}

/// The same case as in `tests/ct-live` for the driver oci.
fn rollback_brings_back_what_was_written(host: &Host) {
    furnish(host);
    let one = |image: &str| format!("  one: {{ image: {image}, command: [sleep, \"1000\"] }}\n");
    let gone = "  gone: { image: bb, command: [sleep, \"1000\"] }\n";
    let bad = "  bad: { image: bb, needs: [one], ready: { command: [\"false\"], timeout: 1s }, command: [sleep, \"1000\"] }\n";
    let was = || stack(host, "wrote", &(one("bb") + gone));
    let next = || stack(host, "wrote", &(one("ssh") + bad));
    ct(host, &["up", &was()]).ok();
    let names = ["one", "gone"];
    for name in names {
        host.script(&format!("$CLI exec wrote-{name} -- sh -c 'echo {name} >/srv/work'"));
    }
    ct(host, &["up", &next(), "--prune", "--yes", "--rollback"]).exits(1).says("bad is not ready");
    for name in names {
        assert_eq!(host.script(&format!("$CLI exec wrote-{name} -- cat /srv/work")), format!("{name}\n"));
    }
    assert_eq!(ct(host, &["up", &was()]).ok().json()["status"]["ct"]["changed"], 0);
    assert_eq!(host.query("/1.0/instances").as_array().unwrap().len(), 2, "nothing stays aside");
    // What a kill left aside is removed by the next run; one killed before the rename is unchanged.
    host.ok(&json!({"verb": "put_aside", "stack": "wrote", "name": "gone"}));
    host.script("$CLI stop -f wrote-one; $CLI config set wrote-one user.lsx.instance one-ASIDE");
    host.script("$CLI config set wrote-one user.lsx.was \"$($CLI config get wrote-one user.lsx.spec)\"; $CLI config unset wrote-one user.lsx.spec");
    ct(host, &["up", &was()]).ok();
    assert_eq!(host.script("$CLI exec wrote-one -- cat /srv/work"), "one\n");
    host.script("$CLI exec wrote-gone -- test ! -e /srv/work");
    assert_eq!(host.query("/1.0/instances").as_array().unwrap().len(), 2);
    assert_eq!(host.query("/1.0/instances/wrote-one")["config"]["user.lsx.instance"], "one");
    ct(host, &["down", &was()]).ok();
    host.empty();
}

fn a_plan_refuses_a_name_that_another_stack_has(host: &Host) {
    furnish(host);
    let instance = |name: &str| format!("  {name}: {{ image: bb, command: [sleep, \"1000\"] }}\n");
    let first = stack(host, "left", &instance("right-a"));
    let second = stack(host, "left-right", &instance("a"));
    ct(host, &["up", &first]).ok();
    ct(host, &["up", &second])
        .exits(1)
        .says("an instance left-right-a that does not belong to stack left-right");
    assert_eq!(host.query("/1.0/instances/left-right-a")["config"]["user.lsx.stack"], "left");
    ct(host, &["down", &second]).ok();
    assert_eq!(host.query("/1.0/instances/left-right-a")["status"], "Running");
    ct(host, &["down", &first]).ok();
    host.empty();
}

//! Properties of the driver with one instance.

use crate::host::{DIGEST, Host};
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[
    (
        "an_instance_is_made_started_listed_stopped_and_removed",
        an_instance_is_made_started_listed_stopped_and_removed,
    ),
    ("files_environment_secrets_and_names_are_there", files_environment_secrets_and_names_are_there),
    ("limits_hold_and_an_update_leaves_what_others_set", limits_hold_and_an_update_leaves_what_others_set),
    ("a_program_ends_as_it_ended", a_program_ends_as_it_ended),
    ("volumes_outlive_their_instance", volumes_outlive_their_instance),
    ("profiles_and_a_seed_of_cloud_init_are_passed_on", profiles_and_a_seed_of_cloud_init_are_passed_on),
    ("one_that_ignores_the_signal_is_stopped_by_force", one_that_ignores_the_signal_is_stopped_by_force),
    ("what_it_wrote_uses_and_keeps_is_told", what_it_wrote_uses_and_keeps_is_told),
];

fn an_instance_is_made_started_listed_stopped_and_removed(host: &Host) {
    let wanted = host.instance("web-1");
    assert_eq!(host.ok(&json!({"verb": "list"})), json!([]));
    host.ok(&json!({"verb": "create", "instance": wanted}));
    host.ok(&json!({"verb": "create", "instance": wanted}));
    let listed = host.ok(&json!({"verb": "list", "stack": "s"}));
    assert_eq!((&listed[0]["instance"], &listed[0]["condition"]["state"]), (&wanted, &json!("stopped")));
    assert_eq!(host.ok(&json!({"verb": "list", "stack": "other"})), json!([]));
    let seen = host.query("/1.0/instances/s-web-1");
    assert_eq!(seen["config"]["user.lsx.stack"], "s");
    assert_eq!(seen["config"]["user.lsx.instance"], "web-1");
    let spec: Value = serde_json::from_str(seen["config"]["user.lsx.spec"].as_str().unwrap()).unwrap();
    assert_eq!(spec, wanted);
    let image =
        host.query(&format!("/1.0/images/{}", seen["config"]["volatile.base_image"].as_str().unwrap()));
    assert_eq!(image["properties"]["lsx.digest"], DIGEST);
    assert_eq!(image["aliases"][0]["name"], "lsx-0011223344556677");
    host.ok(&json!({"verb": "start", "instance": wanted}));
    host.ok(&json!({"verb": "start", "instance": wanted}));
    let listed = host.ok(&json!({"verb": "list"}));
    assert_eq!(listed[0]["condition"]["state"], "running");
    let pid = listed[0]["condition"]["pid"].as_u64().unwrap();
    assert!(host.script(&format!("cat /proc/{pid}/cmdline")).contains("init"));
    assert_eq!(host.exec("web-1", &["hostname"]), "web-1");
    host.ok(&json!({"verb": "stop", "name": "web-1"}));
    host.ok(&json!({"verb": "stop", "name": "web-1"}));
    assert_eq!(host.query("/1.0/instances/s-web-1")["status"], "Stopped");
    host.clean("web-1");
    host.clean("web-1");
}

fn files_environment_secrets_and_names_are_there(host: &Host) {
    host.blob("b1", b"one\n");
    host.blob("b2", &[0, 159, 146, 150]);
    host.script("mkdir -p /var/lib/lsx/secrets/s/ct; printf geheim > /var/lib/lsx/secrets/s/ct/key");
    let mut wanted = host.instance("full");
    wanted["hostname"] = json!("called-so");
    wanted["env"] = json!({"A": "one two", "B": "x=y"});
    wanted["files"] = json!([
        {"path": "/etc/app/deep/one", "mode": 0o640, "owner": "app:adm", "digest": "b1"},
        {"path": "/etc/bytes", "mode": 0o755, "owner": "7:8", "digest": "b2"},
    ]);
    wanted["secrets"] = json!([{"name": "key", "digest": "z"}]);
    wanted["nics"] = json!([]);
    host.run(&wanted);
    let stat = host.exec("full", &["stat", "-c", "%a %u %g", "/etc/app/deep/one", "/etc/bytes", "/etc/app"]);
    assert_eq!(stat, "640 1000 4\n755 7 8\n755 0 0");
    assert_eq!(host.exec("full", &["cat", "/etc/app/deep/one"]), "one");
    assert_eq!(host.exec("full", &["hostname"]), "called-so");
    assert_eq!(host.exec("full", &["cat", "/etc/hostname"]), "called-so");
    assert!(host.exec("full", &["cat", "/etc/hosts"]).contains("10.1.2.3 other"));
    let env = host.exec("full", &["env"]);
    assert!(env.contains("A=one two") && env.contains("B=x=y"), "{env}");
    assert_eq!(host.exec("full", &["cat", "/run/secrets/key"]), "geheim");
    assert_eq!(
        host.exec("full", &["stat", "-c", "%a %u", "/run/secrets/key", "/run/secrets"]),
        "400 0\n555 0"
    );
    assert!(host.exec("full", &["mount"]).contains("tmpfs on /run "), "secrets never reach a disk");
    let mut after = wanted.clone();
    host.blob("b3", b"three\n");
    after["files"] = json!([{"path": "/etc/app/deep/one", "mode": 0o600, "owner": "", "digest": "b3"}]);
    host.ok(&json!({"verb": "update", "before": wanted, "instance": after}));
    assert_eq!(host.exec("full", &["stat", "-c", "%a %u", "/etc/app/deep/one"]), "600 0");
    assert_eq!(host.exec("full", &["cat", "/etc/app/deep/one"]), "three");
    assert_eq!(host.exec("full", &["ls", "/etc/app/deep"]), "one");
    let gone = host.ok(&json!({"verb": "exec", "name": "full", "argv": ["cat", "/etc/bytes"]}));
    assert_eq!(gone["code"], 1);
    let mut nobody = host.instance("nobody");
    nobody["files"] = json!([{"path": "/x", "mode": 0o644, "owner": "nobody-here", "digest": "b1"}]);
    host.fails(&json!({"verb": "create", "instance": nobody}), "ct.lxd.owner");
    host.ok(&json!({"verb": "remove", "name": "nobody"}));
    host.clean("full");
}

fn limits_hold_and_an_update_leaves_what_others_set(host: &Host) {
    let mut before = host.instance("tight");
    before["limits"] = json!({"memory_bytes": 64 << 20, "cpus_milli": 1500, "processes": 40});
    host.run(&before);
    let config = host.query("/1.0/instances/s-tight")["config"].clone();
    assert_eq!(config["limits.memory"], "67108864");
    assert_eq!(config["limits.cpu.allowance"], "150ms/100ms");
    assert_eq!(config["limits.processes"], "40");
    assert_eq!(config["boot.autostart"], "false");
    host.script("$CLI config set s-tight user.theirs kept");
    let mut after = before.clone();
    after["limits"] = json!({"memory_bytes": 96 << 20, "cpus_milli": 1000});
    assert_eq!(host.ok(&json!({"verb": "update", "before": before, "instance": after})), json!(false));
    let config = host.query("/1.0/instances/s-tight")["config"].clone();
    assert_eq!((&config["limits.memory"], &config["limits.cpu"]), (&json!("100663296"), &json!("1")));
    assert_eq!(config["limits.processes"], Value::Null);
    assert_eq!(config["limits.cpu.allowance"], Value::Null);
    assert_eq!(config["user.theirs"], "kept");
    assert_eq!(host.query("/1.0/instances/s-tight")["status"], "Running");
    let mut again = after.clone();
    again["env"] = json!({"NEW": "1"});
    assert_eq!(host.ok(&json!({"verb": "update", "before": after, "instance": again})), json!(true));
    host.ok(&json!({"verb": "stop", "name": "tight", "grace_ms": 0}));
    host.ok(&json!({"verb": "start", "instance": again}));
    assert!(host.exec("tight", &["env"]).contains("NEW=1"));
    let listed = host.ok(&json!({"verb": "list"}));
    assert_eq!(listed[0]["instance"], again);
    host.clean("tight");
}

fn a_program_ends_as_it_ended(host: &Host) {
    host.run(&host.instance("box"));
    let exec = |argv: &[&str], more: Value| {
        let mut order = json!({"verb": "exec", "name": "box", "argv": argv});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host.act(&order)
    };
    let sh = |text: &str, more: Value| exec(&["sh", "-c", text], more).ok().json();
    let ran = sh("echo out; echo err >&2; exit 7", json!({}));
    assert_eq!(ran, json!({"code": 7, "stdout": "out\n", "stderr": "err\n"}));
    let ran = sh("id -u; id -g; pwd; echo $X", json!({"user": "app", "workdir": "/tmp", "env": ["X=a b"]}));
    assert_eq!(ran["stdout"], "1000\n1001\n/tmp\na b\n");
    assert_eq!(sh("pwd", json!({}))["stdout"], "/\n");
    host.fails(&json!({"verb": "exec", "name": "box", "argv": ["no-such-program"]}), "ct.lxd.exec");
    let begin = std::time::Instant::now();
    let ran = sh("echo before; sleep 600 & sleep 500", json!({"deadline_ms": 5000}));
    assert_eq!((&ran["code"], &ran["stdout"]), (&json!(124), &json!("before\n")));
    assert!(begin.elapsed().as_secs() < 300, "{:?}", begin.elapsed());
    let left = host.exec("box", &["ps"]);
    assert!(!left.contains("sleep 600") && !left.contains("sleep 500"), "{left}");
    let long = sh(
        "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done",
        json!({}),
    );
    assert_eq!(long["stdout"].as_str().unwrap().len(), 20_000 * 41, "nothing is cut off");
    assert_eq!(host.query("/1.0/instances/s-box/logs").to_string().matches("exec_").count(), 0);
    let ran = sh("cat; echo err >&2; exit 3", json!({"input": "what it reads\n", "user": "app"}));
    assert_eq!(ran, json!({"code": 3, "stdout": "what it reads\n", "stderr": "err\n"}));
    assert_eq!(sh("cat; sleep 50", json!({"input": "x", "deadline_ms": 700}))["code"], 124);
    host.fails(&json!({"verb": "exec", "name": "none", "argv": ["true"]}), "ct.lxd.none");
    host.ok(&json!({"verb": "stop", "name": "box", "grace_ms": 0}));
    host.fails(&json!({"verb": "exec", "name": "box", "argv": ["true"]}), "ct.lxd.stopped");
    host.clean("box");
}

fn volumes_outlive_their_instance(host: &Host) {
    let mut wanted = host.instance("store");
    wanted["volumes"] =
        json!([{"name": "data", "path": "/data"}, {"name": "fixed", "path": "/fixed", "read_only": true}]);
    host.run(&wanted);
    host.exec("store", &["sh", "-c", "echo kept > /data/f"]);
    let ran = host.ok(&json!({"verb": "exec", "name": "store", "argv": ["sh", "-c", "echo x > /fixed/f"]}));
    assert_eq!(ran["code"], 1, "{ran}");
    host.ok(&json!({"verb": "remove", "name": "store"}));
    assert_eq!(host.script("cat /var/lib/lsx/volumes/s/data/f"), "kept\n");
    host.run(&wanted);
    assert_eq!(host.exec("store", &["cat", "/data/f"]), "kept");
    let mut after = wanted.clone();
    after["volumes"] = json!([{"name": "data", "path": "/moved"}]);
    assert_eq!(host.ok(&json!({"verb": "update", "before": wanted, "instance": after})), json!(false));
    assert_eq!(host.exec("store", &["cat", "/moved/f"]), "kept");
    host.clean("store");
    host.script("rm -r /var/lib/lsx/volumes/s");
}

fn profiles_and_a_seed_of_cloud_init_are_passed_on(host: &Host) {
    host.blob("seed", b"#cloud-config\nhostname: x\n");
    host.script("$CLI profile create theirs; $CLI profile set theirs user.p 1");
    let mut wanted = host.instance("seeded");
    wanted["profiles"] = json!(["default", "theirs"]);
    wanted["files"] =
        json!([{"path": "/var/lib/cloud/seed/nocloud/user-data", "mode": 0o600, "digest": "seed"}]);
    host.run(&wanted);
    let seen = host.query("/1.0/instances/s-seeded");
    assert_eq!(seen["profiles"], json!(["default", "theirs"]));
    let text = match host.engine.driver {
        "lxd" => seen["config"]["cloud-init.user-data"].as_str().unwrap().to_owned(),
        _ => host.script("$CLI exec s-seeded cat /var/lib/cloud/seed/nocloud/user-data"),
    };
    assert_eq!(text, "#cloud-config\nhostname: x\n");
    host.ok(&json!({"verb": "remove", "name": "seeded"}));
    host.script("$CLI profile delete theirs");
    host.fails(&json!({"verb": "create", "instance": wanted}), "ct.lxd.profile");
    host.empty();
}

fn one_that_ignores_the_signal_is_stopped_by_force(host: &Host) {
    let mut deaf = host.instance("deaf");
    deaf["command"] = json!(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]);
    host.run(&deaf);
    let begin = std::time::Instant::now();
    host.ok(&json!({"verb": "stop", "name": "deaf", "grace_ms": 1000}));
    assert!(begin.elapsed().as_secs() < 100);
    assert_eq!(host.query("/1.0/instances/s-deaf")["status"], "Stopped");
    host.ok(&json!({"verb": "start", "instance": deaf}));
    assert_eq!(host.exec("deaf", &["hostname"]), "deaf");
    host.clean("deaf");
    let mut quit = host.instance("quit");
    quit["stop_signal"] = json!("SIGQUIT");
    quit["command"] =
        json!(["/bin/sh", "-c", "trap 'echo heard >/said; exit 0' QUIT; while :; do sleep 0.1; done"]);
    host.run(&quit);
    host.ok(&json!({"verb": "stop", "name": "quit", "grace_ms": 60_000}));
    assert_eq!(host.script("$CLI file pull s-quit/said -"), "heard\n", "the signal of the document");
    host.clean("quit");
}

fn what_it_wrote_uses_and_keeps_is_told(host: &Host) {
    host.run(&host.instance("seen"));
    assert!(lsx_tests::lab::until(60, || {
        host.ok(&json!({"verb": "logs", "name": "seen"})).to_string().contains("the image has booted")
    }));
    let usage = host.ok(&json!({"verb": "usage", "name": "seen"}));
    assert!(
        usage["memory_bytes"].as_u64().unwrap() > 0 && usage["processes"].as_u64().unwrap() >= 2,
        "{usage}"
    );
    host.script("for name in first second; do $CLI query --wait -X POST -d '{\"name\":\"'$name'\"}' /1.0/instances/s-seen/snapshots; done");
    assert_eq!(host.ok(&json!({"verb": "snapshots", "name": "seen"})), json!(["first", "second"]));
    let shell =
        host.ok(&json!({"verb": "shell", "name": "seen", "argv": ["id"], "user": "app", "env": ["A=b"]}));
    let argv: Vec<&str> = shell.as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    let batch = argv.join(" ").replacen(" -t ", " -T ", 1); // there is no terminal in a test
    assert!(host.script(&format!("{batch} </dev/null")).contains("uid=1000"), "{batch}");
    let engine = host.ok(&json!({"verb": "engine"}));
    assert!(
        engine["name"].as_str().unwrap().starts_with(&format!("{} ", host.engine.called))
            && engine["works"] == true,
        "{engine}"
    );
    let other = if host.engine.driver == "lxd" { "incus" } else { "lxd" };
    assert_eq!(host.ok(&json!({"verb": "list", "driver": other})), json!("no server"));
    host.clean("seen");
}

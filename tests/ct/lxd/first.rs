//! The first program of an instance with its arguments, and recipes.

use crate::host::{DIGEST, Host};
use serde_json::{Value, json};
use std::time::Instant;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_command_takes_the_place_of_init", a_command_takes_the_place_of_init),
    ("arguments_are_what_the_document_says", arguments_are_what_the_document_says),
    (
        "what_the_image_says_is_so_where_the_document_says_nothing",
        what_the_image_says_is_so_where_the_document_says_nothing,
    ),
    ("recipes_are_run_once_in_order_and_as_the_instance", recipes_are_run_once_in_order_and_as_the_instance),
    ("a_run_that_dies_in_a_recipe_is_repeated", a_run_that_dies_in_a_recipe_is_repeated),
    ("the_proxy_is_in_files_and_goes", the_proxy_is_in_files_and_goes),
    ("a_recipe_that_takes_too_long_is_ended", a_recipe_that_takes_too_long_is_ended),
    (
        "an_image_adds_no_lines_to_the_servers_configuration",
        an_image_adds_no_lines_to_the_servers_configuration,
    ),
];

fn a_command_takes_the_place_of_init(host: &Host) {
    let mut wanted = host.instance("app");
    wanted["command"] = json!(["/bin/sleep", "1000"]);
    wanted["user"] = json!("app");
    wanted["workdir"] = json!("/tmp");
    host.run(&wanted);
    let ps = host.script("$CLI exec s-app -- ps -o pid,user,args");
    assert!(
        ps.contains(
            "    1 app      /dev/.lsx-init init --stop SIGTERM --as 1000:1001:4 --encoded /bin/sleep%001000"
        ),
        "{ps}"
    );
    assert!(ps.lines().any(|l| l.contains(" app ") && l.ends_with(" /bin/sleep 1000")), "{ps}");
    assert!(host.exec("app", &["ls", "-l", "/proc/1/cwd"]).ends_with("/tmp"));
    let begin = Instant::now();
    host.ok(&json!({"verb": "stop", "name": "app", "grace_ms": 200_000}));
    assert!(begin.elapsed().as_secs() < 190, "the signal reaches it: {:?}", begin.elapsed());
    host.ok(&json!({"verb": "start", "instance": wanted}));
    host.ok(&json!({"verb": "remove", "name": "app"}));
    let mut ends = host.instance("app");
    ends["command"] = json!(["/bin/false"]);
    host.ok(&json!({"verb": "create", "instance": ends}));
    host.fails(&json!({"verb": "start", "instance": ends}), "ct.lxd.ended");
    host.ok(&json!({"verb": "remove", "name": "app"}));
    let mut blank = host.instance("app");
    blank["command"] = json!(["/sbin/init", "a b"]);
    host.fails(&json!({"verb": "create", "instance": blank}), "ct.lxd.command");
    host.empty();
}

fn arguments_are_what_the_document_says(host: &Host) {
    let mut wanted = host.instance("words");
    let script = "for word; do echo \"<$word>\"; done >/said\n# 'and' \"so\" on; 100%\nexec sleep 1000";
    let words =
        ["/bin/sh", "-c", script, "sh", "a  b", "", " ", "tab\there", "line\nbreak", "\"q' $HOME %20 ä"];
    wanted["command"] = json!(words);
    host.run(&wanted);
    let said: String = words[4..].iter().map(|word| format!("<{word}>\n")).collect();
    assert_eq!(host.script("$CLI exec s-words -- cat /said"), said);
    host.script("$CLI restart -f s-words");
    assert!(lsx_tests::lab::until(60, || host.script("$CLI exec s-words -- cat /said 2>&1 || true") == said));
    let mut after = wanted.clone();
    after["command"] = json!(["/bin/sh", "-c", "echo other >/said; exec sleep 1000"]);
    assert_eq!(host.ok(&json!({"verb": "update", "before": wanted, "instance": after})), json!(true));
    host.ok(&json!({"verb": "stop", "name": "words"}));
    host.ok(&json!({"verb": "start", "instance": after}));
    assert_eq!(host.script("$CLI exec s-words -- cat /said"), "other\n");
    host.clean("words");
}

fn what_the_image_says_is_so_where_the_document_says_nothing(host: &Host) {
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Cmd": ["/bin/sleep", "2000"], "User": "app", "WorkingDir": "/tmp", "Env": ["A=image", "B=image"]}});
    host.blob(&format!("{DIGEST}.json"), config.to_string().as_bytes());
    let mut wanted = host.instance("plain");
    wanted["env"] = json!({"B": "document"});
    host.run(&wanted);
    let ps = host.script("$CLI exec s-plain -- ps -o pid,user,args");
    assert!(ps.lines().any(|l| l.contains(" app ") && l.ends_with(" /bin/sleep 2000")), "{ps}");
    let env =
        host.script("$CLI exec s-plain -- sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ; ls -l /proc/1/cwd'");
    let home = "HOME=/srv/app";
    for line in ["A=image", "B=document", "HOSTNAME=plain", "/proc/1/cwd -> /tmp", home] {
        assert!(env.lines().any(|l| l.ends_with(line)), "{line}: {env}");
    }
    let groups = host.script("$CLI exec s-plain -- grep Groups: /proc/1/status");
    assert_eq!(groups.split_whitespace().collect::<Vec<_>>(), ["Groups:", "4"], "those that name the user");
    let said = host.ok(
        &json!({"verb": "exec", "name": "plain", "argv": ["/bin/sh", "-c", "echo $HOME"], "user": "app"}),
    );
    assert_eq!(said["stdout"], "/srv/app\n");
    host.script(&format!("rm {}/{DIGEST}.json", crate::operation::SUPPLY));
    host.clean("plain");
}

/// A line in liblxc's configuration could name a program that the host runs as root.
fn an_image_adds_no_lines_to_the_servers_configuration(host: &Host) {
    let mut wanted = host.instance("evil");
    wanted["command"] = json!(["/bin/sleep", "1000"]);
    let hook = "lxc.hook.pre-start = /bin/touch /root/owned";
    for (key, word) in [
        ("WorkingDir", format!("/tmp\n{hook}")),
        ("StopSignal", format!("SIGTERM\n{hook}")),
        ("User", format!("app\n{hook}")),
    ] {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Cmd": ["/bin/sleep", "2000"], key: word}});
        host.blob(&format!("{DIGEST}.json"), config.to_string().as_bytes());
        let ran = host.act(&json!({"verb": "create", "instance": wanted}));
        let started = host.act(&json!({"verb": "start", "instance": wanted}));
        assert_eq!(host.script("ls /root/owned 2>/dev/null || true"), "", "{key} ran a program on the host");
        if key == "StopSignal" {
            // An invalid signal is not passed on.
            assert!(
                !host.query("/1.0/instances/s-evil")["config"]["raw.lxc"].as_str().unwrap().contains("hook")
            );
            host.ok(&json!({"verb": "remove", "name": "evil"}));
            continue;
        }
        assert_eq!(ran.json()["failure"]["code"], "ct.lxd.line", "{key}: {}", ran.stdout);
        assert_ne!(started.code, 0);
        assert_eq!(host.query("/1.0/instances"), json!([]), "refused before anything is made");
    }
    host.script(&format!("rm {}/{DIGEST}.json", crate::operation::SUPPLY));
    host.clean("evil");
}

/// The same case as in `tests/ct-live` for the driver oci.
fn recipes_are_run_once_in_order_and_as_the_instance(host: &Host) {
    host.blob("r1", b"echo one $(id -un) $(pwd) $WHO $HOSTNAME >>/srv/log\nprintf '%s|%s' \"$what\" \"${password}\" >/srv/told\nsleep 1000 &\n");
    host.blob("r2", b"echo two >>/srv/log\ntest -e /srv/go || { echo first; echo 'no /srv/go' >&2; false; }\necho through >>/srv/log\n");
    host.blob("r3", b"echo three >>/srv/log");
    host.blob("made", b"");
    let recipe = |name: &str| json!({"path": format!("{name}.sh"), "mode": 0o644, "digest": name});
    let mut wanted = host.instance("cook");
    let file = |path: &str| json!({"path": path, "mode": 0o666, "owner": "app", "digest": "made"});
    wanted["files"] = json!([file("/srv/log"), file("/srv/told")]);
    (wanted["env"], wanted["user"], wanted["workdir"]) = (json!({"WHO": "me"}), json!("app"), json!("/tmp"));
    wanted["recipes"] = json!([recipe("r1"), recipe("r2"), recipe("r3")]);
    host.script(
        "mkdir -p /var/lib/lsx/secrets/s/ct; printf 'geheim\\n\\n' > /var/lib/lsx/secrets/s/ct/password",
    );
    wanted["recipes"][0]["values"] =
        json!({"password": {"secret": "password", "digest": "d"}, "what": "it's $(id)"});
    wanted["ready"] = json!({"command": ["/bin/true"], "timeout_ms": 6000, "interval_ms": 100});
    host.ok(&json!({"verb": "create", "instance": wanted}));
    let log = || host.script("$CLI exec s-cook -- cat /srv/log");
    let failure = host.fails(&json!({"verb": "start", "instance": wanted}), "ct.ready");
    assert_eq!(failure["message"], "cook is not ready: it is starting");
    let why = failure["causes"][0].as_str().unwrap(); // 124 where the last try was cut off
    assert!(["1", "124"].iter().any(|n| why == format!("recipe r2.sh ended with {n}: no /srv/go")), "{why}");
    let said = log();
    assert!(said.starts_with("one app /tmp me cook\ntwo\n") && !said.contains("thr"), "{said}");
    assert_eq!(said.matches("one").count(), 1, "{said}");
    let listed = host.ok(&json!({"verb": "list"}));
    assert_eq!(
        (&listed[0]["condition"]["state"], &listed[0]["condition"]["why"]),
        (&json!("starting"), &json!("recipe r2.sh has not been run"))
    );
    host.script("$CLI exec s-cook -- touch /srv/go");
    host.ok(&json!({"verb": "start", "instance": wanted}));
    assert_eq!(log(), format!("{said}two\nthrough\nthree\n"));
    assert_eq!(host.ok(&json!({"verb": "list"}))[0]["condition"]["state"], "running");
    assert_eq!(host.script("$CLI exec s-cook -- cat /srv/told"), "it's $(id)|geheim");
    assert!(!host.query("/1.0/instances/s-cook").to_string().contains("geheim"));
    let mut done: Value =
        host.query("/1.0/instances/s-cook")["config"]["user.lsx.recipes"].as_str().unwrap().parse().unwrap();
    for one in done.as_array_mut().unwrap() {
        assert!(one.as_object_mut().unwrap().remove("at").is_some_and(|at| at.is_string()), "{one}");
    }
    assert_eq!(done, wanted["recipes"]);
    host.ok(&json!({"verb": "stop", "name": "cook", "grace_ms": 0}));
    host.ok(&json!({"verb": "start", "instance": wanted}));
    let mut after = wanted.clone();
    after["recipes"].as_array_mut().unwrap().push(json!({"path": "r4.sh", "mode": 0o644, "digest": "r3"}));
    assert_eq!(host.ok(&json!({"verb": "update", "before": wanted, "instance": after})), json!(false));
    assert_eq!(host.ok(&json!({"verb": "list"}))[0]["condition"]["state"], "starting");
    host.ok(&json!({"verb": "start", "instance": after}));
    assert_eq!(log(), format!("{said}two\nthrough\nthree\nthree\n"), "once, not at each start");
    host.ok(&json!({"verb": "remove", "name": "cook"}));
    host.run(&wanted_with_go(wanted));
    assert_eq!(log().matches("one").count(), 1, "one made anew has had none");
    host.clean("cook");
}

fn wanted_with_go(mut wanted: Value) -> Value {
    wanted["files"]
        .as_array_mut()
        .unwrap()
        .push(json!({"path": "/srv/go", "mode": 0o644, "owner": "", "digest": "made"}));
    wanted
}

/// The server continues a recipe when the run that started it has died; the next run kills it before it starts again.
fn a_run_that_dies_in_a_recipe_is_repeated(host: &Host) {
    host.blob("quick", b"echo quick >>/log; sleep 4000 &");
    host.blob("slow", b"echo began >>/log; while ! test -e /go; do sleep 0.1; done; echo ended >>/log");
    let mut wanted = host.instance("died");
    let recipe = |name: &str| json!({"path": name, "mode": 0o644, "digest": name});
    wanted["recipes"] = json!([recipe("quick"), recipe("slow")]);
    host.ok(&json!({"verb": "create", "instance": wanted}));
    let order = host.order(&json!({"verb": "start", "instance": wanted}));
    let cut = |began: u8| {
        host.script(&format!(
            "echo '{order}' | /opt/lsx/act act >/dev/null 2>&1 & pid=$!; i=0
             until [ \"$($CLI exec s-died -- grep -c began /log 2>/dev/null)\" = {began} ]; do sleep 0.2; i=$((i+1)); [ $i -lt 200 ]; done
             kill -KILL $pid"
        ))
    };
    cut(1);
    let seen = &host.ok(&json!({"verb": "list"}))[0]["condition"];
    assert_eq!((&seen["state"], &seen["why"]), (&json!("starting"), &json!("recipe slow has not been run")));
    cut(2);
    host.script("$CLI exec s-died -- touch /go");
    host.ok(&json!({"verb": "start", "instance": wanted}));
    let log = host.script("$CLI exec s-died -- cat /log");
    assert!(log.starts_with("quick\nbegan\nbegan\n") && log.matches("quick").count() == 1, "{log}");
    let ps = host.script("$CLI exec s-died -- ps -o args");
    assert_eq!((ps.matches("sh -e").count(), ps.matches("sleep 4000").count()), (0, 1), "{ps}");
    assert_eq!(host.script("$CLI exec s-died -- ls -a / | grep -c lsx-recipe || true"), "0\n");
    host.clean("died");
}

fn a_recipe_that_takes_too_long_is_ended(host: &Host) {
    host.blob("slow", b"echo began >>/log; sleep 3000; echo ended >>/log");
    host.blob("quick", b"echo quick >>/log");
    let mut wanted = host.instance("slow");
    wanted["recipes"] = json!([{"path": "slow", "mode": 0o644, "digest": "slow"}]);
    wanted["ready"] = json!({"command": ["/bin/true"], "timeout_ms": 3000, "interval_ms": 100});
    host.ok(&json!({"verb": "create", "instance": wanted}));
    let failure = host.fails(&json!({"verb": "start", "instance": wanted}), "ct.ready");
    assert!(failure["causes"][0].as_str().unwrap().starts_with("recipe slow ended with 124"), "{failure}");
    assert_eq!(host.script("$CLI exec s-slow -- cat /log"), "began\n");
    let ps = host.script("$CLI exec s-slow -- ps");
    assert!(!ps.contains("sleep 3000"), "{ps}");
    let mut after = wanted.clone();
    after["recipes"] = json!([{"path": "slow", "mode": 0o644, "digest": "quick"}]);
    host.ok(&json!({"verb": "update", "before": wanted, "instance": after}));
    host.ok(&json!({"verb": "start", "instance": after}));
    assert_eq!(host.script("$CLI exec s-slow -- cat /log"), "began\nquick\n");
    host.clean("slow");
}

/// The same property as `tests/ct-live` tests with the driver oci.
fn the_proxy_is_in_files_and_goes(host: &Host) {
    host.blob("kept", b"KEPT=1\n");
    let mut wanted = host.instance("proxied");
    let file = |path: &str| json!({"path": path, "mode": 0o644, "digest": "kept"});
    wanted["files"] = json!([file("/etc/apt/apt.conf.d/50kept"), file("/etc/environment")]);
    wanted["proxy"] =
        json!({"http": "http://198.18.9.9:3128", "env": {"http_proxy": "http://198.18.9.9:3128"}});
    host.run(&wanted);
    let cat = |path: &str| host.script(&format!("$CLI exec s-proxied -- cat {path}"));
    let environment = cat("/etc/environment");
    assert!(environment.starts_with("KEPT=1\n"), "{environment}");
    assert!(environment.contains("\nhttp_proxy=http://198.18.9.9:3128\n"), "{environment}");
    assert!(
        cat("/etc/apt/apt.conf.d/95lsx-proxy").contains("Acquire::http::Proxy \"http://198.18.9.9:3128\";")
    );
    let mut after = wanted.clone();
    after["proxy"]["env"] = json!({"http_proxy": "http://198.18.9.8:3128"});
    host.ok(&json!({"verb": "update", "before": wanted, "instance": after}));
    let other = cat("/etc/environment");
    assert!(other.contains("198.18.9.8") && !other.contains("198.18.9.9"), "{other}");
    let mut bare = after.clone();
    bare.as_object_mut().unwrap().remove("proxy");
    host.ok(&json!({"verb": "update", "before": after, "instance": bare}));
    assert_eq!(cat("/etc/environment"), "KEPT=1\n");
    assert_eq!(host.script("$CLI exec s-proxied -- ls /etc/apt/apt.conf.d"), "50kept\n");
    host.clean("proxied");
}

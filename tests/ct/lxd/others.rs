//! The driver with others: foreign instances, the network, runs that die, simultaneous runs.

use crate::host::Host;
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_strangers_instance_is_left_alone", a_strangers_instance_is_left_alone),
    ("two_stacks_that_come_to_one_name_do_not_meet", two_stacks_that_come_to_one_name_do_not_meet),
    ("an_image_that_somebody_imported_is_used_and_stays", an_image_that_somebody_imported_is_used_and_stays),
    ("interfaces_are_those_of_the_stack_and_come_back", interfaces_are_those_of_the_stack_and_come_back),
    (
        "a_server_that_dies_while_it_makes_one_is_no_trouble",
        a_server_that_dies_while_it_makes_one_is_no_trouble,
    ),
    ("a_run_that_dies_is_repeated", a_run_that_dies_is_repeated),
    ("a_pools_folder_that_was_left_is_no_trouble", a_pools_folder_that_was_left_is_no_trouble),
    ("a_pool_without_its_folder_is_made_anew", a_pool_without_its_folder_is_made_anew),
    ("many_are_made_at_once", many_are_made_at_once),
    ("an_image_stays_while_one_is_made_of_it", an_image_stays_while_one_is_made_of_it),
];

fn an_image_that_somebody_imported_is_used_and_stays(host: &Host) {
    host.script("$CLI image import /root/supply/sha256*.tar.gz --alias theirs");
    host.run(&host.instance("guest"));
    host.ok(&json!({"verb": "remove", "name": "guest"}));
    assert_eq!(host.query("/1.0/images/aliases"), json!(["/1.0/images/aliases/theirs"]));
    host.script("$CLI image delete theirs");
    host.empty();
}

const STACK: &str = "
stack: s
hosts:
  h1: { address: 198.18.0.11, ssh: root@198.18.0.11 }
networks:
  lan: { cidr: 10.120.0.0/24, gateway: h1 }
  back: { cidr: 10.121.0.0/24 }
images:
  busybox: { lxd: 'tar:none.tar.gz' }
defaults: { host: h1, driver: lxd, resolver: [10.120.0.1] }
instances:
  a: { image: busybox, networks: [lan, back] }
  b: { image: busybox, networks: [lan] }
";

fn a_strangers_instance_is_left_alone(host: &Host) {
    let wanted = host.instance("theirs");
    host.ok(&json!({"verb": "create", "instance": wanted}));
    host.script("$CLI copy s-theirs s-other");
    host.ok(&json!({"verb": "remove", "name": "theirs"}));
    assert_eq!(host.ok(&json!({"verb": "strangers"})), json!(["s-other"]));
    assert_eq!(host.ok(&json!({"verb": "list"})), json!([]));
    let other = host.instance("other");
    let failure = host.fails(&json!({"verb": "create", "instance": other}), "ct.lxd.stranger");
    assert!(failure["message"].as_str().unwrap().contains("s-other"), "{failure}");
    for verb in ["remove", "exec", "logs"] {
        host.fails(&json!({"verb": verb, "name": "other", "argv": ["true"]}), "ct.lxd.stranger");
    }
    host.ok(&json!({"verb": "stop", "name": "other"}));
    assert_eq!(
        host.query("/1.0/instances"),
        json!(["/1.0/instances/s-other"]),
        "its image and its pool stay, too"
    );
    host.script("$CLI delete s-other");
    host.ok(&json!({"verb": "remove", "name": "other"}));
    host.empty();
}

fn two_stacks_that_come_to_one_name_do_not_meet(host: &Host) {
    let wanted = host.instance("y-z");
    host.ok(&json!({"verb": "create", "stack": "x", "instance": wanted}));
    assert_eq!(host.ok(&json!({"verb": "strangers", "stack": "x-y"})), json!(["x-y-z"]));
    assert_eq!(host.ok(&json!({"verb": "strangers", "stack": "x"})), json!([]));
    assert_eq!(host.ok(&json!({"verb": "strangers"})), json!([]));
    let order = json!({"verb": "create", "stack": "x-y", "instance": host.instance("z")});
    let failure = host.fails(&order, "ct.lxd.stranger");
    assert!(failure["message"].as_str().unwrap().ends_with("which is y-z of stack x"), "{failure}");
    for verb in ["remove", "exec", "logs"] {
        let order = json!({"verb": verb, "stack": "x-y", "name": "z", "argv": ["true"]});
        host.fails(&order, "ct.lxd.stranger");
    }
    host.ok(&json!({"verb": "stop", "stack": "x-y", "name": "z"}));
    assert_eq!(host.query("/1.0/instances/x-y-z")["config"]["user.lsx.stack"], "x");
    host.ok(&json!({"verb": "remove", "stack": "x", "name": "y-z"}));
    host.empty();
}

fn interfaces_are_those_of_the_stack_and_come_back(host: &Host) {
    let file = host.lab.file("net.yaml", STACK);
    let stack = host.lab.net(&["up", &file]).ok().json();
    let nics = |name: &str| -> Value {
        let all = stack["resolved"]["instances"].as_array().unwrap();
        all.iter().find(|i| i["name"] == name).unwrap()["nics"].clone()
    };
    let (mut a, mut b) = (host.instance("a"), host.instance("b"));
    (a["nics"], b["nics"]) = (nics("a"), nics("b"));
    host.run(&a);
    host.run(&b);
    let marks = || host.script("ip -d link | grep -o 'altname lsx:s:[ab][.]eth.:nic' | sort | uniq -c");
    let all = marks();
    assert_eq!(all.lines().count(), 3, "{all}");
    let check = |when: &str| {
        for (i, nic) in nics("a").as_array().unwrap().iter().enumerate() {
            let said = host.exec("a", &["ip", "addr", "show", &format!("eth{i}")]);
            assert!(said.contains(nic["address"].as_str().unwrap()), "{when}: {said}");
            let broadcast = format!("brd 10.12{i}.0.255 ");
            assert!(said.contains(&broadcast), "{when}: {broadcast}: {said}");
            assert!(
                said.contains(nic["mac"].as_str().unwrap()) && said.contains(&format!("mtu {}", nic["mtu"])),
                "{when}: {said}"
            );
        }
        let to = nics("b")[0]["address"].as_str().unwrap().split('/').next().unwrap().to_owned();
        host.exec("a", &["ping", "-c", "1", "-W", "5", &to]);
        host.exec("a", &["ping", "-c", "1", "-W", "5", "10.120.0.1"]);
    };
    check("after the start");
    assert!(host.exec("a", &["ip", "route"]).contains("default via 10.120.0.1"));
    assert!(
        host.exec("a", &["cat", "/etc/resolv.conf"]).contains("search lan"),
        "in place of the image's dangling link"
    );
    let before = host.script("ip -d -o link show | grep nic | sed 's/_timer  *[0-9.]*//g'");
    host.ok(&json!({"verb": "start", "instance": a}));
    assert_eq!(
        host.script("ip -d -o link show | grep nic | sed 's/_timer  *[0-9.]*//g'"),
        before,
        "a second start changes nothing"
    );
    host.script("$CLI restart -f s-a");
    check("the server itself started it anew");
    host.ok(&json!({"verb": "start", "instance": a}));
    assert_eq!(marks(), all, "marked again");
    host.lab.net(&["down", &file]).exits(1).says("still attached");
    host.ok(&json!({"verb": "remove", "name": "a"}));
    host.ok(&json!({"verb": "remove", "name": "b"}));
    host.lab.net(&["down", &file]).ok();
    host.fails(&json!({"verb": "create", "instance": a}), "ct.lxd.network");
    host.empty();
    assert_eq!(host.script("ip -br link | grep -c '^l[bi]' || true").trim(), "0");
}

/// Kills the server.
const KILL: &str = "kill -9 $(cat /proc/[0-9]*/comm 2>/dev/null >/dev/null; for p in /proc/[0-9]*; do \
    [ \"$(tr '\\0' ' ' < $p/cmdline 2>/dev/null)\" = \"$DAEMON \" ] && echo ${p#/proc/}; done)";
/// Starts it as `scripts/lab` does, and waits until it answers.
const START: &str = "(LXD_DIR=/var/lib/lxd setsid $DAEMON </dev/null >>/var/log/daemon.log 2>&1 &); ${DAEMON%% *} waitready --timeout 120";

/// The server is killed at many moments of a create; afterwards the same create completes it.
fn a_server_that_dies_while_it_makes_one_is_no_trouble(host: &Host) {
    let wanted = host.instance("hurt");
    let order = host.order(&json!({"verb": "create", "instance": wanted}));
    for delay in ["0.01", "0.03", "0.05", "0.08", "0.12"] {
        let script = format!(
            "(sleep {delay}; {KILL}) & echo '{order}' | /opt/lsx/act act >/tmp/said 2>&1 || true; wait; {START}; cat /tmp/said"
        );
        let said = host.script(&script);
        eprintln!("killed after {delay} s: {}", said.lines().next().unwrap_or_default());
        host.run(&wanted);
        let listed = host.ok(&json!({"verb": "list"}));
        assert_eq!(listed[0]["instance"], wanted, "{delay}");
        host.ok(&json!({"verb": "remove", "name": "hurt"}));
        host.empty();
    }
}

/// The run is killed instead; the rest is reported as a remnant or not at all.
fn a_run_that_dies_is_repeated(host: &Host) {
    let wanted = host.instance("cut");
    let order = host.order(&json!({"verb": "create", "instance": wanted}));
    for delay in ["0.01", "0.02", "0.04", "0.06", "0.09"] {
        host.script(&format!(
            "echo '{order}' | timeout -s KILL {delay} /opt/lsx/act act >/dev/null 2>&1 || true; sleep 0.3"
        ));
        let listed = host.ok(&json!({"verb": "list"}));
        assert!(listed.as_array().unwrap().len() <= 1, "{listed}");
        assert_eq!(host.ok(&json!({"verb": "strangers"})), json!([]));
        if delay != "0.02" {
            host.run(&wanted);
            assert_eq!(host.exec("cut", &["hostname"]), "cut");
        }
        host.clean("cut");
    }
}

/// A server killed while it creates lsx's pool leaves a folder that it does not know.
fn a_pools_folder_that_was_left_is_no_trouble(host: &Host) {
    host.script(&format!("mkdir -p /var/lib/{0}/storage-pools/lsx/containers", host.engine.driver));
    host.run(&host.instance("next"));
    host.clean("next");
}

/// A server killed a moment later knows the pool without its folder, and says so after its start.
fn a_pool_without_its_folder_is_made_anew(host: &Host) {
    let sql = if host.engine.driver == "lxd" { "lxd sql" } else { "incus admin sql" };
    host.script(&format!(
        "$CLI storage create lsx dir user.lsx=true; {sql} global \"DELETE FROM storage_pools_config WHERE key = 'source'\"; {KILL}; {START}"
    ));
    let refused = host.script("$CLI init --empty probe -s lsx 2>&1 || true");
    assert!(refused.contains("Storage pool is unavailable"), "{refused}");
    host.run(&host.instance("next"));
    assert_eq!(host.exec("next", &["hostname"]), "next");
    host.clean("next");
}

fn many_are_made_at_once(host: &Host) {
    let orders: Vec<String> = (0..6)
        .map(|i| host.order(&json!({"verb": "create", "instance": host.instance(&format!("m{i}"))})))
        .collect();
    for (i, order) in orders.iter().enumerate() {
        host.lab.exec_with("h1", &["sh", "-c", &format!("cat > /root/order-{i}")], order.as_bytes()).ok();
    }
    host.script("pids=; for i in 0 1 2 3 4 5; do /opt/lsx/act act < /root/order-$i & pids=\"$pids $!\"; done; for p in $pids; do wait $p; done");
    assert_eq!(host.ok(&json!({"verb": "list"})).as_array().unwrap().len(), 6);
    assert_eq!(host.query("/1.0/images").as_array().unwrap().len(), 1);
    for i in 0..6 {
        host.ok(&json!({"verb": "remove", "name": format!("m{i}")}));
    }
    host.empty();
}

/// Another run cleans up at the same time, as each run does that puts an instance aside.
fn an_image_stays_while_one_is_made_of_it(host: &Host) {
    let order = |verb: &str, name: &str| {
        host.order(&json!({"verb": verb, "name": name, "instance": host.instance(name)}))
    };
    for (file, text) in [
        ("tidies", order("remove", "nobody")),
        ("makes", order("create", "made")),
        ("ends", order("remove", "made")),
    ] {
        host.lab.exec_with("h1", &["sh", "-c", &format!("cat > /root/{file}")], text.as_bytes()).ok();
    }
    let beside = |what: &str, times: u32| {
        host.script(&format!(
            "touch /root/on; (while test -e /root/on; do {what}; done) >/dev/null 2>&1 & loop=$!; failed=0
             for i in $(seq {times}); do /opt/lsx/act act </root/makes >/root/said 2>&1 || {{ failed=1; cat /root/said; }}
             /opt/lsx/act act </root/ends >/root/said 2>&1 || {{ failed=1; cat /root/said; }}; done
             rm /root/on; wait $loop || true; exit $failed"
        ))
    };
    beside("/opt/lsx/act act </root/tidies & /opt/lsx/act act </root/tidies; wait", 8);
    host.ok(&json!({"verb": "remove", "name": "nobody"}));
    host.empty();
}

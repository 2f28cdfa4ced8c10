//! What was killed serves again.

use crate::load::{self, Upstream};
use crate::town::{Town, run};
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] = &[
    ("what_was_killed_serves_again", what_was_killed_serves_again),
    ("a_new_router_is_served_too", a_new_router_is_served_too),
    ("a_taken_port_is_told_and_leaves_nothing", a_taken_port_is_told_and_leaves_nothing),
    (
        "a_run_killed_before_any_change_is_finished_or_removed",
        a_run_killed_before_any_change_is_finished_or_removed,
    ),
    ("after_a_power_cut_names_are_there", after_a_power_cut_names_are_there),
    ("networks_stay_while_their_names_are_served", networks_stay_while_their_names_are_served),
];

fn serves(town: &Town<'_>) -> bool {
    town.lab
        .script(
            town.host_of("ann"),
            &format!(
                "ip netns exec town.ann dig @{} +tries=1 +time=2 +short h1.host.internal",
                town.resolver("ann")
            ),
        )
        .stdout
        == "198.18.0.11\n"
}

fn what_was_killed_serves_again(lab: &Lab) {
    let town = Town::up(lab);
    // The worker: what waits in the sockets is answered by the next one.
    let old = town.recorded("h1", "pid");
    lab.script("h1", &format!("kill -9 {old}")).ok();
    assert!(until(60, || town.recorded("h1", "pid") != old && serves(&town)));
    assert_eq!(town.recorded("h1", "restarts"), "1");
    // The supervisor: its worker serves on, and hands its sockets to the next supervisor.
    let mut load =
        load::start(lab, town.host_of("ann"), "town.ann", &town.resolver("ann"), "web.back.internal");
    assert!(until(60, || load.done() > 100));
    lab.script("h1", &format!("kill -9 {}", town.recorded("h1", "supervisor"))).ok();
    let before = load.done();
    assert!(until(60, || load.done() > before + 200), "it serves without its supervisor");
    town.dns(&["plan", "--exit-code", &town.file]).exits(2);
    assert_eq!(town.changes(&town.file), 1);
    let before = load.done();
    assert!(until(60, || load.done() > before + 200));
    load.all_good("while the next supervisor took over");
    drop(load);
    let workers = "pgrep -fc '[s]erve-service town names'";
    assert!(until(60, || lab.script("h1", workers).stdout.trim() == "1"), "the old one ends");
    // Both.
    let both = format!("kill -9 {} {}", town.recorded("h1", "supervisor"), town.recorded("h1", "pid"));
    lab.script("h1", &both).ok();
    assert!(!serves(&town));
    assert_eq!(town.changes(&town.file), 1);
    assert!(serves(&town));
    assert_eq!(town.changes(&town.file), 0);
    // `down` also finds a worker that is alone.
    lab.script("h1", &format!("kill -9 {}", town.recorded("h1", "supervisor"))).ok();
    town.down();
}

fn a_new_router_is_served_too(lab: &Lab) {
    let town = Town::up(lab);
    lab.script("h1", "ip netns del lsx-town").ok();
    run(lab, 0, &["up", &town.file]).ok();
    town.attach();
    assert!(
        until(60, || serves(&town)),
        "{}",
        lab.script("h1", "cat /var/lib/lsx/dns/town/log/names/log").stdout
    );
    assert!(until(60, || town.dns(&["check", &town.file]).code == 0));
    town.down();
}

fn a_taken_port_is_told_and_leaves_nothing(lab: &Lab) {
    let town = Town::up(lab);
    town.dns(&["down", &town.file]).ok();
    let other = Upstream::inside(lab, "h1", "lsx-town", &town.resolver("ann"));
    let refused = town.dns(&["up", &town.file]).exits(1);
    assert!(refused.stderr.contains("cannot listen on 10.140.0.1:53"), "{}", refused.stderr);
    town.nothing_left("h1");
    assert!(other.asked().is_empty());
    // A program that people know is named, with what to do.
    let words = "--keep-in-foreground --conf-file=/dev/null --pid-file --bind-interfaces --no-resolv --listen-address=10.140.0.1";
    let mut known = lab.start(
        "h1",
        &[&["ip", "netns", "exec", "lsx-town", "dnsmasq"][..], &words.split(' ').collect::<Vec<_>>()]
            .concat(),
    );
    let has = "ip netns exec lsx-town ss -Hlun sport = :53";
    assert!(until(60, || lab.script("h1", has).stdout.contains("10.140.0.1:53")));
    let refused = town.dns(&["up", &town.file]).exits(1);
    assert!(refused.stderr.contains("10.140.0.1:53: dnsmasq (process "), "{}", refused.stderr);
    assert!(refused.stderr.contains("listen-address"), "{}", refused.stderr);
    town.nothing_left("h1");
    lab.script(
        "h1",
        "kill $(ip netns exec lsx-town ss -Hlunp sport = :53 | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p')",
    )
    .ok();
    known.wait().unwrap();
    assert!(until(60, || lab.script("h1", has).stdout.is_empty()));
    assert!(town.changes(&town.file) > 0);
    assert!(serves(&town));
    town.down();
}

fn a_run_killed_before_any_change_is_finished_or_removed(lab: &Lab) {
    let town = Town::up(lab);
    town.dns(&["down", &town.file]).ok();
    let killed = |verb: &str, n: usize| {
        let ran = town.dns(&[verb, &town.file, "--failpoint", &n.to_string()]);
        assert!(ran.code == 0 || ran.stdout.is_empty(), "{verb} {n}: {}", ran.stdout);
        ran.code != 0
    };
    let mut n = 0;
    while killed("up", n) {
        town.dns(&["down", &town.file]).ok();
        ["h1", "h2"].iter().for_each(|host| town.nothing_left(host));
        killed("up", n);
        town.dns(&["up", &town.file]).ok();
        assert!(town.changes(&town.file) == 0 && serves(&town), "up killed before change {n}");
        killed("down", n);
        if n % 2 == 0 {
            town.dns(&["up", &town.file]).ok();
            assert!(town.changes(&town.file) == 0 && serves(&town), "down killed before change {n}");
        }
        town.dns(&["down", &town.file]).ok();
        ["h1", "h2"].iter().for_each(|host| town.nothing_left(host));
        n += 1;
    }
    assert!(n >= 3, "{n} changes");
    town.down();
}

fn after_a_power_cut_names_are_there(lab: &Lab) {
    let town = Town::up(lab);
    for host in ["h1", "h2"] {
        lab.verb(&["kill", host]);
        lab.verb(&["boot", host, "--wait"]);
    }
    assert_eq!(town.changes(&town.file), 0, "{}", lab.script("h1", "cat /var/log/lsx-boot.log").stdout);
    town.attach();
    assert!(until(60, || serves(&town)));
    town.down();
}

fn networks_stay_while_their_names_are_served(lab: &Lab) {
    let town = Town::up(lab);
    let refused = run(lab, 0, &["down", &town.file]);
    assert!(refused.code != 0 && refused.stderr.contains("lsx-dns"), "{}", refused.stderr);
    assert!(serves(&town));
    town.down();
}

//! Parts of a stack, parts of the hosts: what is kept, what is skipped, and messages about conflicts.

use crate::kernel::{links, names};
use crate::peer;
use crate::stack::{Stack, text};
use lsx_tests::lab::{Lab, Ran};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("only_makes_the_named_parts", only_makes_the_named_parts),
    (
        "what_the_document_no_longer_names_is_kept_until_prune",
        what_the_document_no_longer_names_is_kept_until_prune,
    ),
    ("a_host_that_is_offline_is_skipped", a_host_that_is_offline_is_skipped),
    (
        "an_unreachable_host_is_named_while_the_others_finish",
        an_unreachable_host_is_named_while_the_others_finish,
    ),
    (
        "a_host_without_power_is_named_while_the_others_finish",
        a_host_without_power_is_named_while_the_others_finish,
    ),
    ("a_login_without_rights_is_named", a_login_without_rights_is_named),
    ("a_login_with_sudo_is_enough", a_login_with_sudo_is_enough),
    (
        "an_interface_that_is_not_ours_is_refused_and_left_alone",
        an_interface_that_is_not_ours_is_refused_and_left_alone,
    ),
    ("ports_and_routes_of_the_host_are_not_taken", ports_and_routes_of_the_host_are_not_taken),
    ("an_address_changes_only_on_request", an_address_changes_only_on_request),
    ("a_full_disk_is_named_and_repaired_later", a_full_disk_is_named_and_repaired_later),
    ("a_disk_that_fills_up_later_undoes_the_change", a_disk_that_fills_up_later_undoes_the_change),
];

/// The stack's file; what an earlier case may have left of it is removed.
fn stack(lab: &Lab) -> String {
    let file = lab.file("three.yaml", include_str!("three.yaml"));
    lab.net(&["down", &file]).ok();
    file
}

/// Runs `up` with a report, which must always be written.
fn up(lab: &Lab, args: &[&str]) -> (Ran, Value) {
    let path = lab.folder.path().join("report.json");
    let _ = std::fs::remove_file(&path);
    let ran = lab.net(&[&["up", "--report", path.to_str().unwrap()], args].concat());
    let report = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("no report: {e}: {}", ran.stderr));
    (ran, serde_json::from_str(&report).unwrap())
}

fn host<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|h| h["host"] == name)
        .unwrap_or_else(|| panic!("no {name}: {report}"))
}

/// Whether a host has a network's bridge.
fn carries(lab: &Lab, stack: &Stack, host: &str, network: &str) -> bool {
    names(&links(lab, host)).contains(&text(&stack.network(network)["bridge"]))
}

fn resolved(lab: &Lab, file: &str) -> Stack {
    Stack::of(file, &lab.net(&["resolve", file]).ok().json())
}

fn only_makes_the_named_parts(lab: &Lab) {
    let file = stack(lab);
    let all = resolved(lab, &file);
    lab.net(&["up", &file, "--only", "networks.red"]).ok();
    assert!(carries(lab, &all, "h1", "red") && !carries(lab, &all, "h1", "blue"));
    let again = lab.net(&["up", &file, "--only", "networks.red"]).ok().json();
    assert_eq!(again["status"]["net"]["changed"], 0);
    lab.net(&["up", &file]).ok();
    assert!(carries(lab, &all, "h1", "blue"));
    lab.net(&["up", &file, "--only", "networks.blue"]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    lab.net(&["up", &file, "--only", "networks.green"]).exits(64);
    lab.net(&["down", &file, "--only", "networks.green"]).exits(64);
    lab.net(&["down", &file]).ok();
}

fn what_the_document_no_longer_names_is_kept_until_prune(lab: &Lab) {
    let file = stack(lab);
    let all = resolved(lab, &file);
    lab.net(&["up", &file]).ok();
    let less = lab.file("less.yaml", &fewer());
    let plan = lab.net(&["plan", &less]).ok().json();
    assert!(plan["kept"].as_array().unwrap().contains(&"h1: network blue".into()), "{}", plan["kept"]);
    lab.net(&["up", &less]).ok();
    assert!(carries(lab, &all, "h1", "blue") && carries(lab, &all, "h2", "blue"));
    let tunnel = text(&all.network("blue")["tunnel"]);
    let forwards = lab.script("h1", &format!("bridge fdb show dev {tunnel}")).ok().stdout;
    assert!(forwards.contains("dst 198.18.0.12"), "connected as it was: {forwards}");
    lab.net(&["plan", "--exit-code", &less]).ok();
    lab.net(&["up", &less, "--prune"]).ok();
    assert!(!carries(lab, &all, "h1", "blue") && !carries(lab, &all, "h2", "blue"));
    assert!(carries(lab, &all, "h1", "red"));
    lab.net(&["up", &file]).ok();
    let nothing = lab.file(
        "nothing.yaml",
        &fewer().replace("red: ", "grey: ").replace("[red]", "[grey]").replace("10.130", "10.139"),
    );
    lab.net(&["up", &nothing, "--prune"]).exits(65).says("--yes");
    assert!(carries(lab, &all, "h1", "red"), "a document half empty clears nothing");
    lab.net(&["up", &nothing, "--prune", "--yes"]).ok();
    assert!(!carries(lab, &all, "h1", "red"));
    lab.net(&["down", &nothing]).ok();
}

/// The same stack without its network blue, and without the instances that are on no other.
fn fewer() -> String {
    let text = include_str!("three.yaml");
    text.lines()
        .filter(|l| !l.contains("blue: ") && !l.contains("[blue]"))
        .map(|l| l.replace("[red, blue]", "[red]") + "\n")
        .collect()
}

fn a_host_that_is_offline_is_skipped(lab: &Lab) {
    let file = stack(lab);
    let all = resolved(lab, &file);
    let (ran, report) = up(lab, &[&file, "--offline", "h3"]);
    let document = ran.ok().says("h3").json();
    assert_eq!(host(&report, "h3")["skipped"], true);
    assert_eq!(document["hosts"]["h3"]["offline"], true, "the next tool in the pipe leaves it alone, too");
    assert!(carries(lab, &all, "h1", "red") && !carries(lab, &all, "h3", "red"));
    lab.net(&["down", &file]).ok();
    lab.verb(&["cut", "h3"]);
    let (ran, report) = up(lab, &[&file, "--set", "hosts.h3.offline=true"]);
    ran.ok();
    assert_eq!((&host(&report, "h3")["skipped"], &report["ok"]), (&true.into(), &true.into()));
    lab.verb(&["heal", "h3"]);
    lab.net(&["up", &file]).ok();
    assert!(carries(lab, &all, "h3", "red"));
    lab.net(&["down", &file]).ok();
}

#[track_caller]
fn h3_fails_alone(lab: &Lab, ran: &Ran, report: &Value, exit: i32) {
    let all = resolved(lab, &lab.file("three.yaml", include_str!("three.yaml")));
    assert_eq!(ran.code, exit, "{}", ran.stderr);
    assert_eq!(ran.stdout, "", "nothing for the next tool");
    assert!(ran.stderr.contains("h3: "), "{}", ran.stderr);
    assert_eq!(report["ok"], false);
    assert_eq!((&host(report, "h3")["ok"], &host(report, "h3")["exit"]), (&false.into(), &exit.into()));
    for name in ["h1", "h2"] {
        assert_eq!(host(report, name)["ok"], true, "{report}");
        assert!(carries(lab, &all, name, "red"), "{name} finished");
    }
}

fn an_unreachable_host_is_named_while_the_others_finish(lab: &Lab) {
    let file = stack(lab);
    lab.verb(&["cut", "h3"]);
    let (ran, report) = up(lab, &[&file, "--deadline", "60s"]);
    lab.verb(&["heal", "h3"]);
    h3_fails_alone(lab, &ran, &report, 69);
    lab.net(&["up", &file]).ok();
    lab.net(&["down", &file]).ok();
}

fn a_host_without_power_is_named_while_the_others_finish(lab: &Lab) {
    let file = stack(lab);
    lab.net(&["up", &file]).ok();
    lab.net(&["down", &file]).ok();
    // The connection of the last run is still open, but the host behind it is gone.
    lab.verb(&["kill", "h3"]);
    let (ran, report) = up(lab, &[&file, "--deadline", "60s"]);
    lab.verb(&["boot", "h3", "--wait"]);
    h3_fails_alone(lab, &ran, &report, 69);
    lab.net(&["up", &file]).ok();
    lab.net(&["down", &file]).ok();
}

fn a_login_without_rights_is_named(lab: &Lab) {
    let file = stack(lab);
    let (ran, report) = up(lab, &[&file, "--set", "hosts.h3.ssh=nosudo@198.18.0.13"]);
    h3_fails_alone(lab, &ran, &report, 77);
    assert!(ran.stderr.contains("sudo"), "{}", ran.stderr);
    lab.net(&["down", &file]).ok();
    let (ran, report) = up(lab, &[&file, "--set", "hosts.h3.ssh=nobody@198.18.0.13"]);
    h3_fails_alone(lab, &ran, &report, 77);
    lab.net(&["down", &file]).ok();
}

fn a_login_with_sudo_is_enough(lab: &Lab) {
    let file = stack(lab);
    let all = resolved(lab, &file);
    let as_admin = ["--set", "hosts.h3.ssh=admin@198.18.0.13"];
    lab.net(&[&["up", &file], &as_admin[..]].concat()).ok();
    assert!(carries(lab, &all, "h3", "red"));
    lab.net(&[&["down", &file], &as_admin[..]].concat()).ok();
    assert!(!carries(lab, &all, "h3", "red"));
}

fn an_interface_that_is_not_ours_is_refused_and_left_alone(lab: &Lab) {
    let file = stack(lab);
    let all = resolved(lab, &file);
    let bridge = text(&all.network("red")["bridge"]);
    lab.script("h2", &format!("ip link add {bridge} mtu 1400 type bridge")).ok();
    let ran = lab.net(&["up", &file]);
    assert!(
        ran.code == 1 && ran.stderr.contains("was not created by lsx") && ran.stderr.contains("h2"),
        "{}",
        ran.stderr
    );
    let found = lab.json("h2", &format!("ip -d -j link show {bridge}"));
    assert_eq!((&found[0]["mtu"], &found[0]["altnames"]), (&1400.into(), &Value::Null));
    assert!(!carries(lab, &all, "h1", "red"), "nothing was begun anywhere");
    lab.net(&["down", &file]).ok();
    lab.script("h2", &format!("ip link del {bridge}")).ok();
}

fn ports_and_routes_of_the_host_are_not_taken(lab: &Lab) {
    let file = stack(lab);
    peer::install(lab, &["h1"]);
    {
        let _server = peer::serve_in(lab, "h1", "", "program", &["7777"]);
        lab.net(&["up", &file, "--set", "instances.one.ports=[\"7777:80\"]"])
            .exits(65)
            .says("7777/tcp is used by a program");
    }
    lab.net(&["up", &file, "--set", "instances.one.ports=[\"22:22\"]"]).exits(65).says("ssh");
    lab.script("h2", "ip route add 10.130.0.0/25 dev eth0").ok();
    let ran = lab.net(&["up", &file]).exits(65);
    assert!(
        ran.stderr.contains("overlaps the route 10.130.0.0/25") && ran.stderr.contains("h2"),
        "{}",
        ran.stderr
    );
    lab.script("h2", "ip route del 10.130.0.0/25 dev eth0").ok();
}

fn an_address_changes_only_on_request(lab: &Lab) {
    let file = stack(lab);
    lab.net(&["up", &file]).ok();
    let other = "instances.one.networks=[{name: red, address: 10.130.0.77}, blue]";
    lab.net(&["up", &file, "--set", other]).exits(65).says("--renumber");
    let document = lab.net(&["up", &file, "--set", other, "--renumber"]).ok().json();
    assert_eq!(Stack::of(&file, &document).address("one", "red"), "10.130.0.77");
    lab.net(&["down", &file]).ok();
}

/// Fills the disk of a host to the last byte, and frees it again when dropped.
struct Full<'a>(&'a Lab);

fn fill(lab: &Lab) -> Full<'_> {
    let script = "for size in 1M 4k 1; do cat /dev/zero | dd of=/etc/filler.$size bs=$size iflag=fullblock count=100000 2>/dev/null || true; done";
    lab.script("h3", script).ok();
    Full(lab)
}

impl Drop for Full<'_> {
    fn drop(&mut self) {
        self.0.script("h3", "rm -f /etc/filler.*");
    }
}

fn a_full_disk_is_named_and_repaired_later(lab: &Lab) {
    let file = stack(lab);
    let full = fill(lab);
    let (ran, report) = up(lab, &[&file]);
    drop(full);
    h3_fails_alone(lab, &ran, &report, 1);
    let nothing = |host: &str| lab.script(host, "ip -j link").ok().stdout.matches("lsx:").count() == 0;
    assert!(nothing("h3"), "what was begun on h3 has been undone");
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    lab.net(&["down", &file]).ok();
}

fn a_disk_that_fills_up_later_undoes_the_change(lab: &Lab) {
    let file = stack(lab);
    lab.net(&["up", &file]).ok();
    let smaller: Vec<&str> = ["h1", "h2", "h3"].iter().flat_map(|_| ["--set"]).collect();
    let smaller: Vec<String> = smaller
        .iter()
        .zip(1..)
        .flat_map(|(set, n)| [(*set).to_owned(), format!("hosts.h{n}.mtu=1400")])
        .collect();
    let args: Vec<&str> = std::iter::once(file.as_str()).chain(smaller.iter().map(String::as_str)).collect();
    let full = fill(lab);
    let (ran, report) = up(lab, &args);
    drop(full);
    h3_fails_alone(lab, &ran, &report, 1);
    assert!(ran.stderr.contains("full") || ran.stderr.contains("room"), "{}", ran.stderr);
    let red = resolved(lab, &file);
    let bridge = text(&red.network("red")["bridge"]);
    let mtu = |host: &str| lab.json(host, &format!("ip -j link show {bridge}"))[0]["mtu"].clone();
    assert_eq!((mtu("h1"), mtu("h3")), (1350.into(), 1450.into()), "done there, taken back here");
    lab.net(&[&["up"], &args[..]].concat()).ok();
    assert_eq!(mtu("h3"), 1350);
    lab.net(&["down", &file]).ok();
}

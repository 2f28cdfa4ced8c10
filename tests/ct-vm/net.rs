//! Networks on Debian's own kernel, and on one that lacks what they need.

use crate::Case;
use crate::host::Host;

const STACK: &str = "networks: { lan: { cidr: 10.77.0.0/24, gateway: h1 } }
instances:
  web: { image: bb, host: h1, networks: [lan], command: [httpd, -f, -p, \"80\", -h, /etc], ready: { tcp: 80 } }
  app: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"], needs: [web] }
";

/// Where the kernel has all modules.
pub(crate) const WITH: &[Case] = &[
    ("instances_reach_each_other", instances_reach_each_other),
    ("a_full_neighbour_table_is_named_with_its_setting", a_full_neighbour_table_is_named_with_its_setting),
];

/// Where it has no vxlan.
pub(crate) const WITHOUT: &[Case] = &[("a_kernel_without_vxlan_is_told", a_kernel_without_vxlan_is_told)];

fn instances_reach_each_other(host: &Host) {
    host.run("ip", &["address", "add", "198.18.0.11/32", "dev", "lo"]).ok();
    let file = host.stack("net", STACK);
    host.net(&["up", "-q", &file]).ok();
    host.comes_up(&file);
    let ran =
        host.ct(&["exec", "--on", "net/app", "--", "wget", "-q", "-O", "-", "http://web/shells"]).ok().json();
    assert_eq!(ran["stdout"], "/bin/sh\n", "{ran}");
    host.ct(&["down", "-q", &file]).ok();
    host.net(&["down", "-q", &file]).ok();
    host.run("ip", &["address", "del", "198.18.0.11/32", "dev", "lo"]).ok();
    host.same();
}

/// A program on the host keeps the kernel's neighbour table full. Here, because all namespaces share the table; it is made
/// small. Permanent entries do not count, and when there is no place the kernel removes entries that did not change for five
/// seconds (`neigh_forced_gc`), so these change all the time.
const FILL: &str = "cd /proc/sys/net/ipv4/neigh/default; cat gc_thresh1 gc_thresh2 gc_thresh3 >/tmp/limits
    echo 0 >gc_thresh1; echo 16 >gc_thresh2; echo 32 >gc_thresh3
    ip link add sink type bridge; ip link set sink up; touch /tmp/full
    for mac in 1 2; do for n in $(seq 64); do
        echo neigh replace 192.0.2.$n lladdr 02:00:00:00:00:0$mac dev sink nud reachable; done; done >/tmp/fill
    (while [ -e /tmp/full ]; do ip -force -batch /tmp/fill; done) >/dev/null 2>&1 </dev/null &
    for i in $(seq 200); do
        ip neigh add 192.0.2.99 lladdr 02:00:00:00:00:01 dev sink nud reachable 2>/tmp/why || exit 0
        ip neigh del 192.0.2.99 dev sink; done
    exit 1";
const EMPTY: &str = "rm -f /tmp/full; ip link del sink; cd /proc/sys/net/ipv4/neigh/default
    for n in 1 2 3; do sed -n ${n}p /tmp/limits >gc_thresh$n; done; grep -i 'buffer space' /tmp/why; rm -f /tmp/limits /tmp/fill /tmp/why";

fn a_full_neighbour_table_is_named_with_its_setting(host: &Host) {
    host.run("ip", &["address", "add", "198.18.0.11/32", "dev", "lo"]).ok();
    let file = host.stack("full", STACK);
    host.net(&["up", "-q", &file]).ok();
    host.comes_up(&file);
    host.net(&["check", &file]).ok();
    host.run("sh", &["-c", FILL]).ok();
    let full = host.net(&["check", &file]);
    let why = host.run("sh", &["-c", EMPTY]).ok().stdout;
    assert!(why.contains("No buffer space available"), "ENOBUFS is the kernel's answer: {why}");
    let findings = full.exits(2).json()["findings"].clone();
    let named = |f: &&serde_json::Value| f["code"] == "net.check.neighbours";
    let one = findings.as_array().unwrap().iter().find(named).unwrap_or_else(|| panic!("{findings}"));
    assert_eq!(one["host"], "h1");
    let message = one["message"].as_str().unwrap();
    assert!(message.contains("net.ipv4.neigh.default.gc_thresh3 is the limit"), "{one}");
    assert!(one["hint"].as_str().unwrap().contains("sysctl -w net.ipv4.neigh.default.gc_thresh3="), "{one}");
    host.net(&["check", &file]).ok();
    host.ct(&["down", "-q", &file]).ok();
    host.net(&["down", "-q", &file]).ok();
    host.run("ip", &["address", "del", "198.18.0.11/32", "dev", "lo"]).ok();
    host.same();
}

fn a_kernel_without_vxlan_is_told(host: &Host) {
    let before = host.snapshot();
    let file = host.stack("net", STACK);
    let ran = host.net(&["up", "-q", &file]).exits(1);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    let ran = ran.says("lsx-net: h1: this host lacks what the stack needs: VXLAN (module vxlan)");
    ran.says("hint: load the module or install the package on the host; nothing was changed");
    assert_eq!(host.snapshot(), before);
}

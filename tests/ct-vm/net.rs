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
    ("a_full_neighbour_table_is_named_with_its_setting", a_full_neighbour_table_is_named_with_its_setting),
    ("instances_reach_each_other", instances_reach_each_other),
];

/// Where it has no vxlan.
pub(crate) const WITHOUT: &[Case] = &[("a_kernel_without_vxlan_is_told", a_kernel_without_vxlan_is_told)];

fn instances_reach_each_other(host: &Host) {
    host.run("ip", &["address", "add", "198.18.0.11/32", "dev", "lo"]).ok();
    let file = host.stack("net", STACK);
    host.net(&["up", "-q", &file]).ok();
    host.ct(&["up", "-q", &file]).ok();
    let ran =
        host.ct(&["exec", "--on", "net/app", "--", "wget", "-q", "-O", "-", "http://web/shells"]).ok().json();
    assert_eq!(ran["stdout"], "/bin/sh\n", "{ran}");
    host.ct(&["down", "-q", &file]).ok();
    host.net(&["down", "-q", &file]).ok();
    host.run("ip", &["address", "del", "198.18.0.11/32", "dev", "lo"]).ok();
    host.same();
}

/// A program on the host keeps the kernel's neighbour table full. In a machine, since all namespaces share the table; it is small, so that
/// few entries fill it, and they are always new, since the kernel removes entries that are five seconds old.
fn a_full_neighbour_table_is_named_with_its_setting(host: &Host) {
    host.run("ip", &["address", "add", "198.18.0.11/32", "dev", "lo"]).ok();
    let file = host.stack("full", STACK);
    host.net(&["up", "-q", &file]).ok();
    host.ct(&["up", "-q", &file]).ok();
    host.net(&["check", &file]).ok();
    let fill = "cd /proc/sys/net/ipv4/neigh/default; cat gc_thresh1 gc_thresh2 gc_thresh3 >/tmp/limits
        echo 0 >gc_thresh1; echo 4 >gc_thresh2; echo 8 >gc_thresh3
        ip link add sink type bridge; ip link set sink up; touch /tmp/full
        (while [ -e /tmp/full ]; do for mac in 1 2; do for n in 1 2 3 4 5 6 7 8 9; do
            ip neigh replace 192.0.2.$n lladdr 02:00:00:00:00:0$mac dev sink nud reachable; done; done; done) >/dev/null 2>&1 </dev/null &
        for i in $(seq 100); do ip neigh replace 192.0.2.99 lladdr 02:00:00:00:00:01 dev sink nud reachable 2>/dev/null || exit 0; done; exit 1";
    let empty = "rm -f /tmp/full; ip link del sink; cd /proc/sys/net/ipv4/neigh/default
        for n in 1 2 3; do sed -n ${n}p /tmp/limits >gc_thresh$n; done; rm -f /tmp/limits";
    host.run("sh", &["-c", fill]).ok();
    let full = host.net(&["check", &file]);
    host.run("sh", &["-c", empty]).ok();
    let findings = full.exits(2).json()["findings"].clone();
    let named = |f: &&serde_json::Value| f["code"] == "net.check.neighbours";
    let one = findings.as_array().unwrap().iter().find(named).unwrap_or_else(|| panic!("{findings}"));
    assert_eq!(one["host"], "h1");
    assert!(
        one["message"].as_str().unwrap().contains("net.ipv4.neigh.default.gc_thresh3 is the limit"),
        "{one}"
    );
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

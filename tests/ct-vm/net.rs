//! Networks on Debian's own kernel, and on one that lacks what they need.

use crate::Case;
use crate::host::Host;

const STACK: &str = "networks: { lan: { cidr: 10.77.0.0/24, gateway: h1 } }
instances:
  web: { image: bb, host: h1, networks: [lan], command: [httpd, -f, -p, \"80\", -h, /etc], ready: { tcp: 80 } }
  app: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"], needs: [web] }
";

/// Where the kernel has all modules.
pub(crate) const WITH: &[Case] = &[("instances_reach_each_other", instances_reach_each_other)];

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

fn a_kernel_without_vxlan_is_told(host: &Host) {
    let before = host.snapshot();
    let file = host.stack("net", STACK);
    let ran = host.net(&["up", "-q", &file]).exits(1);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    let ran = ran.says("lsx-net: h1: this host lacks what the stack needs: VXLAN (module vxlan)");
    ran.says("hint: load the module or install the package on the host; nothing was changed");
    assert_eq!(host.snapshot(), before);
}

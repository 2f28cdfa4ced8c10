//! A host without any program of lsx: everything serves on, an instance that ends is started again with its network, and
//! the commands of lsx(7) alone remove all of it.

use crate::cloud::Cloud;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[("nothing_of_lsx_is_needed", nothing_of_lsx_is_needed)];

const STACK: &str = "
instances:
  web: { image: bb, host: h1, networks: [lan], ready: { tcp: 80 }, command: [sh, -c, \"echo web > /tmp/index.html; exec httpd -f -p 80 -h /tmp\"] }
  asks: { image: bb, host: h1, networks: [lan], needs: [web], command: [sleep, \"1009\"] }
balance:
  www: { host: h1, listen: 8090, to: web, port: 80 }
";

/// The commands of lsx(7), WITHOUT LSX, for the stack `alone`.
const REMOVE: &str = "
    kill $(jq -s '.[].supervisor' /run/lsx/ct/alone/*/state.json /run/lsx/alone/net/balance.state.json)
    for id in $(runc --root /run/lsx/runtime list -q); do runc --root /run/lsx/runtime delete --force $id; done
    while pgrep -f '[l]sx-(ct|net) supervise(-service)? alone' >/dev/null; do sleep 0.1; done
    # A killed program leaves its group a moment later.
    for try in $(seq 100); do
        find /sys/fs/cgroup -depth -type d -path '*/lsx*' -exec rmdir {} + 2>/dev/null && break || sleep 0.1
    done
    for link in $(ip -j link | jq -r '.[] | select(.altnames[]? | startswith(\"lsx:alone:\")) | .ifname'); do
        ip link del $link 2>/dev/null || true
    done
    ip netns del lsx-alone
    nft delete table inet lsx-alone
    nft delete table bridge lsx-alone
    sysctl -qw net.ipv4.ip_forward=0
    rm -rf /etc/lsx /etc/cron.d/lsx-boot /run/lsx
    find /var/lib/lsx -mindepth 1 -delete
";

fn nothing_of_lsx_is_needed(cloud: &Cloud) {
    let lab = &cloud.lab;
    let file = cloud.document("alone", STACK);
    lab.script("h1", "find /var/lib/lsx -mindepth 1 -delete").ok();
    let before = cloud.snapshot("h1");
    lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", "--quiet", &file]).ok();
    let answers = || {
        let ran = lab.run(&["curl", "-sS", "--max-time", "5", "http://198.18.0.11:8090/index.html"]);
        ran.stdout == "web\n"
    };
    assert!(until(30, answers));
    lab.script("h1", "rm -rf /var/lib/lsx/bin").ok();
    for name in ["web", "asks"] {
        let of = format!("alone/{name}");
        let first = cloud.pid("h1", &of);
        lab.script("h1", &format!("kill -9 {first}")).ok();
        let again = || {
            let said = cloud.said("h1", &of);
            said["state"] == "running" && said["pid"].as_u64().is_some_and(|pid| pid != first)
        };
        assert!(until(30, again), "{name}: {}", cloud.said("h1", &of));
    }
    assert!(until(30, answers), "with its network");
    assert_eq!(cloud.inside("h1", "alone/asks", "wget -qO- http://web/index.html").ok().stdout, "web\n");
    lab.script("h1", "kill -9 $(jq .pid /run/lsx/alone/net/balance.state.json)").ok();
    assert!(until(30, answers), "with its balancer");
    lab.script("h1", REMOVE).ok();
    // The mount of namespaces belongs to iproute2, which leaves it.
    cloud.same_but("h1", &before, "removed by the commands of the manual", "/run/netns");
}

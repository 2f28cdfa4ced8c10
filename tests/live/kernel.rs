//! The kernel's state, by iproute2 and nft, never by the tool's own code.

use lsx_tests::lab::{Lab, PROGRAMS};
use serde_json::Value;
use std::collections::BTreeSet;

/// The links of a host with all details.
pub(crate) fn links(lab: &Lab, host: &str) -> Vec<Value> {
    lab.json(host, "ip -d -j link").as_array().unwrap().clone()
}

/// One link by name; it must exist.
#[track_caller]
pub(crate) fn link(links: &[Value], name: &str) -> Value {
    links
        .iter()
        .find(|l| l["ifname"] == name)
        .cloned()
        .unwrap_or_else(|| panic!("no link {name} in {}", names(links).join(" ")))
}

/// The names of links.
pub(crate) fn names(links: &[Value]) -> Vec<String> {
    links.iter().map(|l| l["ifname"].as_str().unwrap().to_owned()).collect()
}

/// Everything on a host that `down` must restore: links, addresses, routes, rules, sysctls, mounts, files and programs, one
/// line each. Left out: what changes by itself (counters, logs, ssh sessions), the tool's own copy below /var/lib/lsx/bin,
/// which is kept for the next run, and the empty folder /run/netns, which iproute2 shares.
pub(crate) fn snapshot(lab: &Lab, host: &str) -> BTreeSet<String> {
    const SCRIPT: &str = "exec 2>/dev/null
        ip -d link | sed 's/_timer  *[0-9.]*//g; s/^/link: /'
        ip -4 addr | grep -v valid_lft | sed 's/^/address: /'
        ip -4 route show table all | sed 's/^/route: /'
        ip rule | sed 's/^/rule: /'
        ip netns | sed 's/^/netns: /'
        nft list ruleset | sed 's/^/nft: /'
        sysctl -a | grep '^net' | grep -v nf_conntrack_count | sed 's/^/sysctl: /'
        cut -d' ' -f4- /proc/self/mountinfo | sed 's/shared:[0-9]*//; s/^/mount: /'
        find /etc /var /usr/local /root /home /opt /srv /tmp -path /var/log -prune -o -path /var/lib/lsx/bin -prune -o \
            -newer /etc/machine-id -not -type d -printf 'file: %p %y %m %s\\n'
        find /run /etc /var/lib/lsx /var/spool -path /var/lib/lsx/bin -prune -o -not -type d -printf 'file: %p %y %m %s\\n'
        find /run -type d -not -path /run/netns -printf 'folder: %p %m\\n'
";
    lab.script(host, &[SCRIPT, PROGRAMS].concat()).ok().stdout.lines().map(str::to_owned).collect()
}

/// What is in one and not in the other.
pub(crate) fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> String {
    let gone = before.difference(after).map(|l| format!("- {l}\n"));
    gone.chain(after.difference(before).map(|l| format!("+ {l}\n"))).collect()
}

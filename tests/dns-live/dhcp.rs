//! Addresses by DHCP, as real clients get them.

use crate::town::Town;
use lsx_tests::lab::{Lab, until};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const CASES: &[crate::Case] = &[
    ("clients_get_their_addresses_and_nobody_else", clients_get_their_addresses_and_nobody_else),
    ("no_lease_is_lost_by_a_change_or_a_restart", no_lease_is_lost_by_a_change_or_a_restart),
];

/// Prints what a client was told.
const SCRIPT: &str = "#!/bin/sh\ncase $1 in bound | renew) env ;; esac\n";

pub(crate) fn up(lab: &Lab) -> Town<'_> {
    let town = Town::of(lab, "leases", include_str!("leases.yaml"));
    script(lab);
    town
}

/// Writes the script that prints what a client was told.
pub(crate) fn script(lab: &Lab) {
    for host in crate::town::HOSTS {
        let write = format!("cat > /run/told.sh <<'END'\n{SCRIPT}END\nchmod 755 /run/told.sh");
        lab.script(host, &write).ok();
    }
}

/// What udhcpc is told in a namespace; nothing without an answer.
pub(crate) fn udhcpc(lab: &Lab, host: &str, space: &str, more: &str) -> BTreeMap<String, String> {
    let ask = format!(
        "ip netns exec leases.{space} busybox udhcpc -i eth0 -n -q -f -t 4 -T 1 -s /run/told.sh \
         -O search -O mtu -O staticroutes -O ntpsrv {more} 2>/dev/null"
    );
    let told = lab.script(host, &ask).stdout;
    told.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// A machine that the document does not name, on the bridge of a network.
pub(crate) fn machine(lab: &Lab, host: &str, name: &str, network: &str, mac: &str) {
    let text = format!(
        "b=$(ip -j link | jq -r '.[] | select(.altnames // [] | index(\"lsx:leases:{network}:bridge\")).ifname')
         ip netns add leases.{name} && ip link add v{name} type veth peer name eth0 netns leases.{name} address {mac}
         ip link set v{name} master $b up && ip -n leases.{name} link set eth0 up"
    );
    lab.script(host, &text).ok();
}

pub(crate) fn leases(town: &Town<'_>) -> Vec<Value> {
    let told = town.dns(&["leases", &town.file]).ok().json();
    told["leases"].as_array().unwrap().clone()
}

fn clients_get_their_addresses_and_nobody_else(lab: &Lab) {
    let town = up(lab);
    // An instance, over two hosts: its own address, though its port lets nothing else through.
    let ann = udhcpc(lab, "h2", "ann", "");
    assert_eq!(ann["ip"], town.address("ann.front.internal"), "{ann:?}");
    for (key, value) in [
        ("router", "10.150.0.1"),
        ("dns", "10.150.0.1"),
        ("domain", "front.internal"),
        ("search", "front.internal internal"),
        ("ntpsrv", "10.150.0.7"),
        ("staticroutes", "0.0.0.0/0 10.150.0.1"),
        ("subnet", "255.255.255.0"),
        ("serverid", "10.150.0.1"),
        ("lease", "3600"),
    ] {
        assert_eq!(ann.get(key).map(String::as_str), Some(value), "{key} {ann:?}");
    }
    let mtu = lab.script("h2", "ip netns exec leases.ann cat /sys/class/net/eth0/mtu").ok().stdout;
    assert_eq!(ann["mtu"], mtu.trim());
    // It cannot take that of another: its hardware address is checked.
    let forged = udhcpc(lab, "h2", "ann", "-x 0x3d:01020000000001 -r 10.150.0.150");
    assert_eq!(forged["ip"], ann["ip"]);
    // Nobody answers on the other network.
    assert!(udhcpc(lab, "h1", "bob", "").is_empty());
    // Machines that the document reserves an address for, or does not know.
    machine(lab, "h1", "printer", "front", "02:00:5e:00:53:01");
    machine(lab, "h2", "stranger", "front", "02:00:5e:00:53:02");
    assert_eq!(udhcpc(lab, "h1", "printer", "")["ip"], "10.150.0.150");
    let stranger = udhcpc(lab, "h2", "stranger", "-x hostname:Laptop")["ip"].clone();
    let last: u8 = stranger.strip_prefix("10.150.0.").unwrap().parse().unwrap();
    assert!((100..=199).contains(&last) && last != 150, "{stranger}");
    assert_eq!(town.short("ann", "printer.front.internal"), ["10.150.0.150"]);
    assert_eq!(town.short("ann", "-x 10.150.0.150"), ["printer.front.internal."]);
    // Other clients.
    let dhclient = "ip netns exec leases.stranger timeout 60 dhclient -1 -v -d -sf /bin/true -lf /dev/null -pf /dev/null eth0 2>&1 | grep -m1 'bound to'";
    assert!(lab.script("h2", dhclient).ok().stdout.contains(&stranger));
    // The tool and dnsmasq know the same.
    let all = leases(&town);
    let of = |address: &str| {
        all.iter().find(|l| l["address"] == address).unwrap_or_else(|| panic!("{address} {all:?}"))
    };
    assert_eq!((&of(&ann["ip"])["reserved"], &of("10.150.0.150")["name"]), (&true.into(), &"printer".into()));
    assert_eq!((&of(&stranger)["mac"], &of(&stranger)["host"]), (&"02:00:5e:00:53:02".into(), &"h1".into()));
    let table = town.dns(&["leases", &town.file, "--table"]).ok().stdout;
    assert!(table.contains("printer") && table.contains("10.150.0.150"), "{table}");
    let written = lab.script("h1", "cat /var/lib/lsx/dns/leases/data/leases").ok().stdout;
    assert_eq!(written.lines().count(), all.len(), "{written}");
    other_servers(lab, &town);
    // dhcpcd leaves processes behind, which hold its output and end at different times.
    let dhcpcd = "ip netns exec leases.stranger dhcpcd -4 -1 -A -L -t 60 eth0 > /run/dhcpcd.out 2>&1 < /dev/null; grep -E 'leased 10.150.0.[0-9]+' /run/dhcpcd.out; \
                  while left=$(ip netns pids leases.stranger) && [ -n \"$left\" ]; do kill -9 $left 2>/dev/null || true; sleep 0.1; done";
    lab.script("h2", dhcpcd).ok();
    // dnsmasq has no root.
    let user =
        lab.script("h1", "ps -o user= -p $(pgrep -f '[d]nsmasq.*conf-file=/run/lsx/leases/')").ok().stdout;
    assert_eq!(user.trim(), "dnsmasq");
    town.down();
}

fn other_servers(lab: &Lab, town: &Town<'_>) {
    // A server among the instances is not heard.
    let rogue = "ip netns exec leases.ann dnsmasq --port=0 --conf-file=/dev/null --user=root --pid-file=/run/deaf --leasefile-ro \
                 --no-ping --dhcp-range=10.150.0.30,10.150.0.40,255.255.255.0 --dhcp-authoritative";
    lab.script("h2", rogue).ok();
    // It serves as soon as the command returns.
    machine(lab, "h2", "late", "front", "02:00:5e:00:53:03");
    assert_eq!(udhcpc(lab, "h2", "late", "")["serverid"], "10.150.0.1");
    lab.script("h2", "kill $(cat /run/deaf)").ok();
    assert_eq!(town.changes(&town.file), 0);
    let checked = town.dns(&["check", &town.file]).ok().json().to_string();
    assert!(checked.contains("\"server\":\"10.150.0.1:67\""), "{checked}");
    // One on a machine that the document does not know is told.
    machine(lab, "h1", "rogue", "front", "02:00:5e:00:53:04");
    let other = "ip -n leases.rogue addr add 10.150.0.198/24 dev eth0; ip netns exec leases.rogue dnsmasq --port=0 --conf-file=/dev/null --user=root \
                 --pid-file=/run/rogue --leasefile-ro --no-ping --dhcp-range=10.150.0.30,10.150.0.40,255.255.255.0 --dhcp-authoritative";
    lab.script("h1", other).ok();
    let found = town.dns(&["check", &town.file]).exits(2);
    assert!(
        found.stdout.contains("10.150.0.198 is another DHCP server in network front"),
        "{}",
        found.stdout
    );
    lab.script("h1", "kill $(cat /run/rogue)").ok();
}

pub(crate) fn dnsmasq(lab: &Lab) -> String {
    lab.script("h1", "pgrep -f '[d]nsmasq.*conf-file=/run/lsx/leases/'").stdout.trim().to_owned()
}

fn no_lease_is_lost_by_a_change_or_a_restart(lab: &Lab) {
    let town = up(lab);
    machine(lab, "h1", "stranger", "front", "02:00:5e:00:53:02");
    machine(lab, "h1", "printer", "front", "02:00:5e:00:53:01");
    let own = udhcpc(lab, "h1", "stranger", "")["ip"].clone();
    let holds = || leases(&town).iter().any(|lease| lease["address"] == own.as_str());
    assert!(holds());
    let process = dnsmasq(lab);
    // What changes while it runs restarts nothing.
    let file = town.changed("address: 10.150.0.150", "address: 10.150.0.160");
    let plan = town.dns(&["plan", &file, "--table"]).ok();
    assert!(plan.stdout.contains("reloaded"), "{}", plan.stdout);
    assert!(town.changes(&file) > 0);
    assert_eq!(udhcpc(lab, "h1", "printer", "")["ip"], "10.150.0.160");
    let file = town.changed("ntp: 10.150.0.7", "ntp: 10.150.0.8");
    assert!(town.changes(&file) > 0);
    let told = udhcpc(lab, "h1", "stranger", "");
    assert_eq!((&told["ip"], told["ntpsrv"].as_str()), (&own, "10.150.0.8"));
    assert!(holds() && dnsmasq(lab) == process);
    // What it reads at its start does.
    let file = town.changed("lease: 1h", "lease: 2h");
    assert!(town.changes(&file) > 0);
    assert!(holds() && dnsmasq(lab) != process);
    let told = udhcpc(lab, "h1", "stranger", "");
    assert_eq!((&told["ip"], told["lease"].as_str()), (&own, "7200"));
    // Killed: dnsmasq, and the supervisor.
    let before = dnsmasq(lab);
    lab.script("h1", &format!("kill -9 {before}")).ok();
    assert!(until(60, || !["", before.as_str()].contains(&dnsmasq(lab).as_str())));
    assert_eq!(udhcpc(lab, "h1", "stranger", "")["ip"], own);
    lab.script("h1", &format!("kill -9 {}", town.recorded_of("h1", "dhcp", "supervisor"))).ok();
    assert_eq!(udhcpc(lab, "h1", "stranger", "")["ip"], own, "it serves without its supervisor");
    assert_eq!(town.changes(&file), 1);
    assert!(holds());
    assert_eq!(udhcpc(lab, "h1", "stranger", "")["ip"], own);
    // Down keeps the leases, and up gives them again.
    let kept = town.dns(&["down", &file]).ok();
    assert!(kept.stdout.contains("data") || kept.stderr.contains("data"), "{} {}", kept.stdout, kept.stderr);
    assert_eq!(dnsmasq(lab), "");
    assert!(town.changes(&file) > 0);
    assert_eq!(udhcpc(lab, "h1", "stranger", "")["ip"], own);
    town.down();
}

//! dnsmasq as a service: its files, and how it is started, checked and told to read them again. Pure.

use crate::model::{Boot, Dhcp, IPXE, Leased, MACHINES, Stage, Turns};
use common::plan::{FOLDER, Program, Reload};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

/// What it reads at its start.
const START: &str = "dnsmasq.conf";
/// Clients that always get the same address, and options. It reads them again at SIGHUP; from its folders of files it would not notice
/// what is removed.
pub(crate) const HOSTS: &str = "hosts";
/// The same without what changes when machines boot, with `boot.once`: [`told`] makes the other from it.
pub(crate) const KNOWN: &str = "known";
const OPTIONS: &str = "options";
/// All of it in one file, which `dnsmasq --test` reads.
const ALL: &str = "all.conf";
/// Its group: Debian's user dnsmasq has no other.
const GROUP: &str = "nogroup";

/// The names of options that dnsmasq knows, so that it encodes their values.
const NAMES: [(u8, &str); 10] = [
    (3, "router"),
    (6, "dns-server"),
    (7, "log-server"),
    (15, "domain-name"),
    (26, "mtu"),
    (42, "ntp-server"),
    (44, "netbios-ns"),
    (69, "smtp-server"),
    (119, "domain-search"),
    (121, "classless-static-route"),
];

/// The leases, which outlive a reboot.
pub(crate) fn database(stack: &str) -> String {
    format!("/var/lib/lsx/dns/{stack}/data/leases")
}

/// The service of a configuration: in the router. dnsmasq becomes its own user by itself.
pub(crate) fn leasing(config: &Dhcp) -> Program {
    let common = format!(
        "port=0\nuser=dnsmasq\ngroup={GROUP}\nlog-facility=-\npid-file=\nno-ping\ndhcp-authoritative\nexcept-interface=lo\n\
         dhcp-leasefile={}\ndhcp-lease-max={}\n",
        database(&config.stack),
        config.networks.iter().map(most).sum::<u64>()
    ) + &domains(config);
    let common = common + &config.boot.as_ref().map(booted).unwrap_or_default();
    let (mut start, mut hosts, mut options) = (common, String::new(), String::new());
    for network in &config.networks {
        let Leased { name, link, range: (first, last), lease, .. } = network;
        let mask = network.cidr.netmask();
        let _ = writeln!(start, "interface={link}\ndhcp-range=set:{name},{first},{last},{mask},{lease}");
        for one in &network.reserved {
            let _ = writeln!(hosts, "{},{},{}", one.mac, one.address, one.name);
        }
        for (number, values) in &network.options {
            let _ = writeln!(options, "tag:{name},{}", option(*number, values));
        }
    }
    let lines =
        |key: &str, text: &str| text.lines().map(|line| format!("{key}={line}\n")).collect::<String>();
    let all = start.clone() + &lines("dhcp-host", &hosts) + &lines("dhcp-option", &options);
    let _ = writeln!(start, "dhcp-hostsfile={FOLDER}/{HOSTS}\ndhcp-optsfile={FOLDER}/{OPTIONS}");
    let once = config.boot.as_ref().is_some_and(|boot| boot.once);
    let known = if once { KNOWN } else { HOSTS };
    let files = [(known, hosts), (OPTIONS, options), (ALL, all)].map(|(name, text)| (name.to_owned(), text));
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let file = |name: &str| format!("--conf-file={FOLDER}/{name}");
    Program {
        argv: words(&["dnsmasq", "--keep-in-foreground", &file(START)]),
        files: files.into(),
        fixed: BTreeMap::from([(START.to_owned(), start)]),
        check: words(&["dnsmasq", "--test", &file(ALL)]),
        reload: Reload::Hup,
        // It listens on the port of DHCP servers (proc(5)).
        ready: words(&["grep", "-q", ":0043 ", "/proc/net/udp"]),
        group: Some(GROUP.to_owned()),
        listen: vec![SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 67)],
        ..Default::default()
    }
}

/// The name that dnsmasq has for an option.
pub(crate) fn option_name(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The most leases of a network; dnsmasq gives 1000 in all unless it is told. It is not the number of its clients, so that another one
/// restarts nothing.
fn most(network: &Leased) -> u64 {
    1 << (32 - network.cidr.prefix_len())
}

/// Boot files by kind. iPXE says that it is iPXE by option 175, on every architecture; firmware that boots by HTTP wants to be told so.
fn booted(boot: &Boot) -> String {
    let mut text = String::new();
    let not = |stage| if boot.once { format!(",tag:!{}", tag(stage)) } else { String::new() };
    // Else iPXE would load itself again and again.
    let other = if let Some(menu) = boot.files.get(IPXE) {
        let _ = writeln!(text, "dhcp-match=set:ipxe,175\ndhcp-boot=tag:ipxe{},{menu}", not(Stage::Ipxe));
        ",tag:!ipxe"
    } else {
        ""
    };
    let other = format!("{other}{}", not(Stage::Firmware));
    let _ = writeln!(text, "dhcp-vendorclass=set:http,HTTPClient");
    for (number, kind, http) in MACHINES {
        let Some(file) = boot.files.get(kind) else { continue };
        let _ = writeln!(text, "dhcp-match=set:boot{number},option:client-arch,{number}");
        if !http {
            let _ = writeln!(text, "dhcp-boot=tag:boot{number}{other},{file}");
            continue;
        }
        let tags = format!("tag:http,tag:boot{number}{other}");
        let _ = writeln!(text, "dhcp-option-force={tags},60,HTTPClient");
        for network in &boot.networks {
            let (name, url) = (&network.name, boot.url(network, file));
            let _ = writeln!(text, "dhcp-option-force={tags},tag:{name},67,\"{url}\"");
        }
    }
    text
}

/// The tag of a machine that got the file of a stage.
const fn tag(stage: Stage) -> &'static str {
    match stage {
        Stage::Firmware => "booted",
        Stage::Ipxe => "booted-ipxe",
    }
}

/// Clients that always get the same address, and machines that have booted. dnsmasq takes only one line for a client.
pub(crate) fn told(known: &str, booted: &BTreeMap<String, Turns>) -> String {
    let tags = |mac: &str| -> String {
        let stages = booted.get(mac).into_iter().flat_map(|turns| turns.booted.keys());
        stages.map(|stage| format!(",set:{}", tag(*stage))).collect()
    };
    let mut text = String::new();
    let mut has = BTreeSet::new();
    for (mac, rest) in known.lines().filter_map(|line| line.split_once(',')) {
        let _ = writeln!(text, "{mac}{},{rest}", tags(mac));
        has.insert(mac);
    }
    for mac in booted.keys().filter(|mac| !has.contains(mac.as_str())) {
        let tags = tags(mac);
        if !tags.is_empty() {
            let _ = writeln!(text, "{mac}{tags}");
        }
    }
    text
}

/// Whether such a text says that a machine has booted.
pub(crate) fn is_told(text: &str, mac: &str) -> bool {
    text.lines().any(|line| line.strip_prefix(mac).is_some_and(|rest| rest.starts_with(",set:")))
}

/// Names of clients are different in each network, so that a client takes no name from one of another network.
fn domains(config: &Dhcp) -> String {
    let Some(first) = config.networks.first() else { return String::new() };
    let mut text = format!("dhcp-fqdn\ndomain={}\n", first.domain);
    for network in &config.networks {
        let _ = writeln!(text, "domain={},{}", network.domain, network.cidr.trunc());
    }
    text
}

/// An option with its values. Those of a number without a name are addresses, a number, bytes like 01:02, or a text.
fn option(number: u8, values: &[String]) -> String {
    let name = option_name(number);
    let number = name.map_or_else(|| number.to_string(), |name| format!("option:{name}"));
    let bytes = |value: &String| {
        value.contains(':')
            && value.split(':').all(|b| b.len() == 2 && b.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let plain =
        |value: &String| value.parse::<Ipv4Addr>().is_ok() || value.parse::<u32>().is_ok() || bytes(value);
    if name.is_some() || values.iter().all(plain) {
        return format!("{number},{}", values.join(","));
    }
    let text = values.join(",").replace('\\', "\\\\").replace('"', "\\\"");
    format!("{number},\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Turn, enter};

    #[test]
    fn a_client_has_one_line_with_its_address_and_what_it_got() {
        let booted = |mac: &str, stage| Turn::Booted { mac: mac.to_owned(), stage, at: String::new() };
        let asked = Turn::Asked { mac: "c".to_owned(), number: 1, at: String::new() };
        let all =
            [booted("a", Stage::Firmware), booted("b", Stage::Firmware), booted("b", Stage::Ipxe), asked];
        let mut turns = BTreeMap::new();
        all.into_iter().for_each(|entry| enter(&mut turns, entry));
        let text = told("a,10.0.0.1,web\nd,10.0.0.2,db\n", &turns);
        assert_eq!(text, "a,set:booted,10.0.0.1,web\nd,10.0.0.2,db\nb,set:booted,set:booted-ipxe\n");
        assert!(is_told(&text, "a") && is_told(&text, "b") && !is_told(&text, "c") && !is_told(&text, "d"));
    }
}

//! dnsmasq as a service: its files, and how it is started, checked and told to read them again. Pure.

use crate::model::{Boot, Dhcp, Leased};
use common::plan::{FOLDER, Program, Reload};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// What it reads at its start.
const START: &str = "dnsmasq.conf";
/// Clients that always get the same address, and options. It reads them again at SIGHUP; from its folders of files it would not notice
/// what is removed.
const HOSTS: &str = "hosts";
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
    let files = [(HOSTS, hosts), (OPTIONS, options), (ALL, all)].map(|(name, text)| (name.to_owned(), text));
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

/// The kinds of machines that boot, by the number of their architecture, and whether they boot by HTTP (RFC 4578 2.1, and its registry).
const MACHINES: [(&str, u16, bool); 9] = [
    ("bios", 0, false),
    ("uefi32", 6, false),
    ("uefi", 7, false),
    ("uefi", 9, false),
    ("arm64", 11, false),
    ("uefi32", 15, true),
    ("uefi", 16, true),
    ("arm64", 19, true),
    ("bios", 20, true),
];

/// Boot files by kind. iPXE says that it is iPXE by option 175, on every architecture; firmware that boots by HTTP wants to be told so.
fn booted(boot: &Boot) -> String {
    let mut text = String::new();
    // Else iPXE would load itself again and again.
    let other = if let Some(menu) = boot.files.get("ipxe") {
        let _ = writeln!(text, "dhcp-match=set:ipxe,175\ndhcp-boot=tag:ipxe,{menu}");
        ",tag:!ipxe"
    } else {
        ""
    };
    let _ = writeln!(text, "dhcp-vendorclass=set:http,HTTPClient");
    for (kind, number, http) in MACHINES {
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

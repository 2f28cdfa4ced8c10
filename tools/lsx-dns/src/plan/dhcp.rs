//! What a host's DHCP server gives, and to whom. Pure.

use crate::model::{BOOT, Boot, Data, Dhcp, Entry, Leased, Named, Reservation, Seen, Served};
use common::stack::resolved::{NetworkAt, Resolved};
use common::stack::{Dhcp as Section, Dns, Protocol, Stack};
use common::{Failure, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// Default time of a lease in seconds.
const LEASE: u32 = 12 * 60 * 60;

/// Where lsx-ct has volumes, by stack.
const VOLUMES: &str = "/var/lib/lsx/volumes";

/// Options of DHCP (RFC 2132, 3397, 3442, 4833).
mod option {
    pub(super) const ROUTER: u8 = 3;
    pub(super) const RESOLVER: u8 = 6;
    pub(super) const DOMAIN: u8 = 15;
    pub(super) const MTU: u8 = 26;
    pub(super) const SEARCH: u8 = 119;
    pub(super) const ROUTES: u8 = 121;
}

/// The server of a host; none if no network asks for it there.
pub fn of(stack: &Stack, resolved: &Resolved, host: &str) -> Option<Dhcp> {
    let dns = stack.dns.as_ref()?;
    let here = || resolved.networks.iter().filter(|network| network.gateway.as_deref() == Some(host));
    let networks: Vec<Leased> =
        here().filter_map(|at| network(stack, resolved, at, host, dns.dhcp.get(&at.name)?)).collect();
    let boot = dns.boot.as_ref().map(|boot| Boot {
        folder: format!("{VOLUMES}/{}/{}", stack.name, boot.volume),
        files: boot.files.clone(),
        http: http(resolved, host).unwrap_or_default(),
        once: boot.once,
        networks: here().filter(|at| dns.dhcp.contains_key(&at.name)).filter_map(served).collect(),
    });
    (!networks.is_empty()).then(|| Dhcp { stack: stack.name.clone(), networks, boot })
}

/// The port at which a host gives boot files by HTTP.
fn http(resolved: &Resolved, host: &str) -> Option<u16> {
    let mut own = resolved.services.iter().filter(|at| at.host == host && at.tool == "dns");
    own.find(|at| at.name == BOOT && at.protocol == Protocol::Tcp).map(|at| at.port)
}

fn served(at: &NetworkAt) -> Option<Served> {
    let (address, cidr) = (at.gateway_address?, at.cidr?.trunc());
    Some(Served { name: at.name.clone(), address, cidr, mtu: at.mtu })
}

/// What `dns.boot` says that is not possible.
pub(super) fn refused(stack: &Stack, resolved: &Resolved) -> Vec<Failure> {
    let mut all = Vec::new();
    let Some(boot) = stack.dns.as_ref().and_then(|dns| dns.boot.as_ref()) else { return all };
    let mut tell = |key: &str, message: String, hint: &str| {
        let failure = Failure::new(Kind::Data, "dns.plan.boot", message);
        all.push(failure.at(format!("dns.boot.{key}")).hint(hint));
    };
    let has = |host: &str| resolved.volumes.iter().any(|at| at.name == boot.volume && at.host == host);
    let servers = resolved.hosts.iter().filter(|host| of(stack, resolved, &host.name).is_some());
    for host in servers.filter(|host| !has(&host.name)) {
        let elsewhere: Vec<&str> =
            resolved.volumes.iter().filter(|at| at.name == boot.volume).map(|at| at.host.as_str()).collect();
        let place = if elsewhere.is_empty() {
            "on no host".to_owned()
        } else {
            format!("on {}", elsewhere.join(", "))
        };
        let message = format!("the volume {} is {place}, and the DHCP server on {}", boot.volume, host.name);
        tell("volume", message, "the volume has to be on the host of the gateway: write its host");
    }
    all
}

/// The networks whose clients have the names that they tell, with a journal also those of other hosts; `ttl` is that of other names.
/// One of a lease is kept elsewhere for a third of the lease at most.
pub(super) fn named(stack: &Stack, resolved: &Resolved, (own, shared): (&str, bool), ttl: u32) -> Vec<Named> {
    let hosts = resolved.hosts.iter().map(|at| at.name.as_str()).filter(|host| shared || *host == own);
    let of = |host: &str| {
        let networks = of(stack, resolved, host).map(|server| server.networks).unwrap_or_default();
        let elsewhere = host != own;
        let named = move |network: Leased| Named {
            cidr: network.cidr.trunc(),
            domain: network.domain,
            ttl: ttl.min(network.lease / 3),
            elsewhere,
        };
        networks.into_iter().map(named)
    };
    hosts.flat_map(of).collect()
}

fn network(stack: &Stack, resolved: &Resolved, at: &NetworkAt, host: &str, dhcp: &Section) -> Option<Leased> {
    let gateway = at.gateway_address?;
    let leg = at.legs.iter().find(|leg| leg.host == host)?;
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let address = gateway.to_string();
    let mut options = BTreeMap::from([
        (option::ROUTER, vec![address.clone()]),
        (option::RESOLVER, vec![address.clone()]),
        (option::DOMAIN, vec![at.domain.clone()]),
        (option::MTU, vec![at.mtu.to_string()]),
        (option::SEARCH, search(&at.domain, &stack.domain)),
        // A client that reads this ignores the router (RFC 3442).
        (option::ROUTES, words(&["0.0.0.0/0", &address])),
    ]);
    options.extend(dhcp.options.iter().filter_map(|(key, values)| Some((number(key)?, values.clone()))));
    let lease = dhcp.lease.map_or(LEASE, |time| u32::try_from(time.0).unwrap_or(u32::MAX));
    let (name, link) = (at.name.clone(), leg.link.clone());
    let reserved = reserved(resolved, at, dhcp);
    Some(Leased {
        name,
        link,
        cidr: at.cidr?,
        range: at.dhcp_range?,
        domain: at.domain.clone(),
        lease,
        options,
        reserved,
    })
}

fn search(network: &str, stack: &str) -> Vec<String> {
    let mut all = vec![network.to_owned(), stack.to_owned()];
    all.dedup();
    all
}

/// The number of an option of the document.
pub(crate) fn number(key: &str) -> Option<u8> {
    Some(match key {
        "log" => 7,
        "ntp" => 42,
        "wins" => 44,
        "smtp" => 69,
        "tz" => 101,
        "search" => option::SEARCH,
        "wpad" => 252,
        other => other.parse().ok()?,
    })
}

/// The instances on a network, on all hosts, and the machines of `reserve`.
fn reserved(resolved: &Resolved, at: &NetworkAt, dhcp: &Section) -> Vec<Reservation> {
    let instances = resolved.instances.iter().flat_map(|instance| {
        let nics = instance.nics.iter().filter(|nic| nic.network == at.name);
        nics.filter(|nic| !nic.address.addr().is_unspecified()).map(|nic| Reservation {
            mac: nic.mac.to_lowercase(),
            address: nic.address.addr(),
            name: instance.name.clone(),
        })
    });
    let machines = dhcp.reserve.iter().map(|(name, one)| Reservation {
        mac: one.mac.to_lowercase(),
        address: one.address,
        name: name.clone(),
    });
    let mut all: Vec<Reservation> = instances.chain(machines).collect();
    all.sort();
    all
}

/// The names of reserved addresses, as `NAME.NETWORK`; a name that the document has otherwise is left to it.
pub(super) fn records(resolved: &Resolved, dns: &Dns, written: &BTreeSet<String>) -> Vec<Entry> {
    let mut all = Vec::new();
    for (network, dhcp) in &dns.dhcp {
        let Some(at) = resolved.networks.iter().find(|at| at.name == *network) else { continue };
        for (name, one) in &dhcp.reserve {
            let of = format!("dns.dhcp.{network}.reserve.{name}");
            let name = format!("{name}.{}", at.domain);
            if written.contains(&name) {
                continue;
            }
            let [a, b, c, d] = one.address.octets();
            let entry = |name: String, data| Entry {
                name,
                data,
                ttl: None,
                seen: Seen::Reaching(one.address),
                of: of.clone(),
            };
            all.push(entry(name.clone(), Data::A(one.address)));
            all.push(entry(format!("{d}.{c}.{b}.{a}.in-addr.arpa"), Data::Ptr(name)));
        }
    }
    all
}

//! One probe through each new tunnel: it may be created as planned and still drop packets, because of a firewall, a route
//! or a cloud's filter between the hosts. The kernel of one host sends a frame to a hardware address behind another, whose
//! tunnel counts it.

use crate::Net;
use crate::apply::ask::{index, parse_mac};
use crate::model::{Object, Row};
use crate::netlink::{Socket, neigh};
use crate::observe::{failure, io_failure};
use crate::plan::PlanInput;
use common::host::wait;
use common::stack::resolved::{NetworkAt, Resolved};
use common::tool::{Each, Goal, PlanOf};
use common::{Failure, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The number of attempts, and of checks after each. Each attempt waits twice as long: a slow machine is no failure.
const ROUNDS: u32 = 4;
const LOOKS: usize = 8;
const STEP: Duration = Duration::from_millis(150);
const LONGEST: Duration = Duration::from_secs(5);
/// Frames in flight at once on a host.
const FEW: usize = 200;
/// Unused addresses (TEST-NET-1, RFC 5737) that the probes ask for, so that nobody answers.
const NOBODY: u32 = 0xc000_0200;

/// Frames to send.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Says {
    frames: Vec<Say>,
    /// How long the kernel may take to send some, in milliseconds.
    wait_ms: u64,
}

/// A frame to send through a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Say {
    bridge: String,
    mac: String,
}

/// Sends frames; returns how many could be sent through each bridge.
pub(super) fn say(all: &Says) -> Result<BTreeMap<String, usize>, Failure> {
    let mut socket = Socket::open().map_err(|e| io_failure("open a netlink socket", &e))?;
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    let pause = Duration::from_millis(all.wait_ms).min(LONGEST);
    for some in all.frames.chunks(FEW) {
        let mut knocks = Vec::new();
        let mut gone = Vec::new();
        for (one, number) in some.iter().zip(1..) {
            let device = index(&mut socket, &one.bridge)?;
            let address = Ipv4Addr::from(NOBODY + number);
            knocks.push(neigh::knock(device, address, parse_mac(&one.mac)?));
            gone.push(neigh::delete(device, address));
        }
        for (one, verdict) in some.iter().zip(socket.batch(&knocks)) {
            verdict.map_err(failure)?;
            *sent.entry(one.bridge.clone()).or_default() += 1;
        }
        // The kernel sends at its next tick.
        let _ = wait::until(pause, pause, || false);
        socket.batch(&gone);
    }
    Ok(sent)
}

/// Packets received by links.
pub(super) fn heard(links: &[String]) -> Result<BTreeMap<String, u64>, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")
        .map_err(|e| io_failure("read /proc/net/dev", &e))?;
    let count = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let packets = counts.split_whitespace().nth(1)?.parse().ok()?;
        Some((name.trim().to_owned(), packets))
    };
    Ok(text.lines().filter_map(count).filter(|(name, _)| links.contains(name)).collect())
}

/// A network with new tunnels, and the hosts between which it is tested.
struct Mesh<'a> {
    network: &'a NetworkAt,
    hosts: Vec<(&'a str, Ipv4Addr)>,
    rows: &'a [Row],
}

impl Mesh<'_> {
    /// Something behind the tunnel of a host: its router, or an instance.
    fn behind(&self, remote: Ipv4Addr) -> Option<&Row> {
        let there = || self.rows.iter().filter(|row| row.remote == remote);
        there().find(|row| row.owner.starts_with("host/")).or_else(|| there().next())
    }

    fn says(&self, from: &str) -> Vec<Say> {
        let others = self.hosts.iter().filter(|(host, _)| *host != from);
        let rows = others.filter_map(|(_, address)| self.behind(*address));
        rows.map(|row| Say { bridge: self.network.bridge.clone(), mac: row.mac.clone() }).collect()
    }

    /// Hosts with such a target.
    fn reachable(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|(_, address)| self.behind(*address).is_some()).map(|(host, _)| *host)
    }
}

/// Tests all tunnels of networks that have a new one; returns failures by host.
pub(super) fn prove(input: &PlanInput, plan: &PlanOf<Net>, each: Each<'_>) -> BTreeMap<String, Failure> {
    let Goal::Up(_, resolved) = &input.goal else { return BTreeMap::new() };
    let mut meshes = meshes(input, plan, resolved);
    let mut silent = BTreeMap::new();
    for number in 0..ROUNDS {
        silent = round(&mut meshes, STEP * 2_u32.pow(number), each);
        if silent.is_empty() {
            break;
        }
    }
    let port = resolved.tunnel_port;
    silent.into_iter().map(|(host, what)| (host.clone(), broken(&host, &what, port))).collect()
}

fn meshes<'a>(input: &'a PlanInput, plan: &'a PlanOf<Net>, resolved: &'a Resolved) -> Vec<Mesh<'a>> {
    let made = plan.steps.iter().filter_map(|step| match &step.after {
        Some(Object::Tunnel(tunnel)) => Some(tunnel.network.as_str()),
        _ => None,
    });
    let made: BTreeSet<&str> = made.collect();
    let mesh = |network: &'a NetworkAt| {
        let here = input.hosts.iter().filter(|h| network.hosts.contains(&h.name));
        let hosts: Vec<(&str, Ipv4Addr)> = here.map(|h| (h.name.as_str(), h.address)).collect();
        let rows = plan.data.rows.get(&network.name)?;
        (hosts.len() > 1).then_some(Mesh { network, hosts, rows })
    };
    resolved.networks.iter().filter(|n| made.contains(n.name.as_str())).filter_map(mesh).collect()
}

/// Missing probes by host: the network, and how many of how many frames arrived.
type Silent = BTreeMap<String, (String, u64, u64)>;

fn round(meshes: &mut Vec<Mesh<'_>>, pause: Duration, each: Each<'_>) -> Silent {
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let wait_ms = pause.as_millis().try_into().unwrap_or(u64::MAX);
    let mut says: BTreeMap<String, Says> = BTreeMap::new();
    for mesh in &*meshes {
        for (host, _) in &mesh.hosts {
            links.entry((*host).to_owned()).or_default().push(mesh.network.tunnel.clone());
            let all = says.entry((*host).to_owned()).or_insert_with(|| Says { wait_ms, ..Says::default() });
            all.frames.extend(mesh.says(host));
        }
    }
    let before = counts(&links, each);
    let inputs = says.into_iter().map(|(host, says)| (host, json!(says))).collect();
    let sent: BTreeMap<String, BTreeMap<String, usize>> = answers(each("say", inputs));
    let mut silent = Silent::new();
    for look in 0..LOOKS {
        let now = counts(&links, each);
        silent = missing(meshes, &sent, (&before, &now));
        if silent.is_empty() {
            break;
        }
        if look + 1 < LOOKS {
            let _ = wait::until(pause, pause, || false);
        }
    }
    meshes.retain(|mesh| silent.values().any(|(network, ..)| *network == mesh.network.name));
    silent
}

type Counts = BTreeMap<String, BTreeMap<String, u64>>;

fn missing(
    meshes: &[Mesh<'_>],
    sent: &BTreeMap<String, BTreeMap<String, usize>>,
    (before, now): (&Counts, &Counts),
) -> Silent {
    let mut silent = Silent::new();
    for mesh in meshes {
        let spoke = |host: &str| sent.get(host).is_some_and(|by| by.contains_key(&mesh.network.bridge));
        for host in mesh.reachable() {
            // A host without anything behind its tunnel is not yet a peer, as with --only: its packets are dropped.
            let counts_for = |(other, address): &&(&str, Ipv4Addr)| {
                *other != host && spoke(other) && mesh.behind(*address).is_some()
            };
            let wanted = mesh.hosts.iter().filter(counts_for).count() as u64;
            let count =
                |counts: &Counts| counts.get(host).and_then(|by| by.get(&mesh.network.tunnel)).copied();
            let (Some(before), Some(now)) = (count(before), count(now)) else { continue };
            let came = now.saturating_sub(before);
            if came < wanted {
                silent.insert(host.to_owned(), (mesh.network.name.clone(), came, wanted));
            }
        }
    }
    silent
}

fn counts(links: &BTreeMap<String, Vec<String>>, each: Each<'_>) -> Counts {
    answers(each("heard", links.iter().map(|(host, links)| (host.clone(), json!(links))).collect()))
}

fn answers<A: serde::de::DeserializeOwned>(
    all: BTreeMap<String, Result<Value, common::Failures>>,
) -> BTreeMap<String, A> {
    let one =
        |(host, value): (String, Result<Value, _>)| Some((host, serde_json::from_value(value.ok()?).ok()?));
    all.into_iter().filter_map(one).collect()
}

fn broken(host: &str, (network, came, wanted): &(String, u64, u64), port: u16) -> Failure {
    let message =
        format!("network {network}: {came} of {wanted} probes from other hosts arrived through its tunnel");
    let failure = Failure::new(Kind::Failed, "net.tunnel.silent", message).on(host);
    failure.hint(format!(
        "UDP port {port} is dropped on the way to {host}: check the firewall there (`nft list ruleset`, chains with hook input), \
         firewalls between the hosts, and routes; `lsx-net check` tests every path"
    ))
}

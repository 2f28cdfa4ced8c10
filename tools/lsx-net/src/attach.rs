//! `attach` and `detach`: creates an interface with its address, MTU and routes directly in a network namespace.

mod acquaint;
mod adopt;

use crate::apply::ask::{ask, derived, parse_mac, silence};
use crate::apply::marked::{displaced, finish};
use crate::model::{GROUP, mark};
use crate::netlink::dump::{self, Link};
use crate::netlink::link::{self, Change, Peer, Veth};
use crate::netlink::{Device, Socket, addr, namespace, route};
use crate::observe::{failure, io_failure};
use common::host::file::{self, Mode};
use common::stack::resolved::NicAt;
use common::{Failure, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The first line of a resolver file of lsx.
const RESOLVER_HEAD: &str = "# lsx-net";

/// An interface to attach: its resolved values, and the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Attach {
    /// The stack.
    pub stack: String,
    /// The instance.
    pub instance: String,
    /// The network namespace by path, or by name in /run/netns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<PathBuf>,
    /// The network namespace of a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Take over an interface created by an engine: a veth of exactly this name and hardware address, already on the
    /// network's bridge and in that namespace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
    /// The interface.
    #[serde(flatten)]
    pub nic: NicAt,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Attached {
    /// `lsx.net.attached/1`.
    pub schema: String,
    /// The interface as requested.
    #[serde(flatten)]
    pub attach: Attach,
    /// Whether anything was changed.
    pub changed: bool,
}

/// Attaches interfaces in order; the links of this host are read once.
///
/// # Errors
/// The first failure; interfaces attached before it stay, and repeating the call continues from there.
pub(crate) fn attach(wanted: &[Attach]) -> Result<Vec<Attached>, Failure> {
    let mut host = Host::new()?;
    wanted.iter().map(|one| host.attach(one)).collect()
}

/// Removes interfaces with both ends; a missing one is no error.
///
/// # Errors
/// What the kernel said.
pub(crate) fn detach(wanted: &[Attach]) -> Result<Vec<Attached>, Failure> {
    let mut host = Host::new()?;
    wanted.iter().map(|one| host.detach(one)).collect()
}

/// This host's links at the start, found by their marks.
struct Host {
    socket: Socket,
    links: BTreeMap<String, Link>,
    /// The namespace of the previous interface, since those of one instance come together.
    inside: Option<TargetNamespace>,
    /// The intent of the previous interface's stack, which lists the members of its network.
    kept: Option<(String, Option<acquaint::Acquaintances>)>,
}

/// A network namespace and a socket in it.
struct TargetNamespace {
    netns: Option<PathBuf>,
    pid: Option<u32>,
    space: OwnedFd,
    socket: Socket,
}

impl TargetNamespace {
    fn open(wanted: &Attach) -> Result<Self, Failure> {
        let space = space(wanted)?;
        let socket =
            Socket::open_in(space.as_fd()).map_err(|e| io_failure("enter the network namespace", &e))?;
        Ok(TargetNamespace { netns: wanted.netns.clone(), pid: wanted.pid, space, socket })
    }

    fn is_of(&self, wanted: &Attach) -> bool {
        (&self.netns, self.pid) == (&wanted.netns, wanted.pid)
    }
}

impl Host {
    fn new() -> Result<Self, Failure> {
        let mut socket = Socket::open().map_err(|e| io_failure("open a netlink socket", &e))?;
        let links = dump::links(&mut socket).map_err(failure)?;
        let marks = |link: Link| link.altnames.clone().into_iter().map(move |mark| (mark, link.clone()));
        Ok(Host { socket, links: links.into_iter().flat_map(marks).collect(), inside: None, kept: None })
    }

    fn attach(&mut self, wanted: &Attach) -> Result<Attached, Failure> {
        let mut inside = match self.inside.take().filter(|inside| inside.is_of(wanted)) {
            Some(inside) => inside,
            None => TargetNamespace::open(wanted)?,
        };
        let bridge = self.bridge(wanted)?;
        let changed = !self.stands(wanted, &bridge, &mut inside.socket)?;
        if changed {
            match wanted.adopt {
                true => adopt::adopt(&mut self.socket, wanted, &bridge, &mut inside.socket)?,
                false => self.fresh(wanted, &bridge, &mut inside)?,
            }
            self.acquaint(wanted, &mut inside.socket)?;
        }
        self.inside = Some(inside);
        let changed = resolver(wanted)? || changed;
        Ok(report(wanted, changed))
    }

    fn fresh(&mut self, wanted: &Attach, bridge: &Link, inside: &mut TargetNamespace) -> Result<(), Failure> {
        self.make(wanted, bridge, inside.space.as_fd())?;
        fill(wanted, bridge.mtu, &mut inside.socket)?;
        finish(&mut self.socket, &wanted.nic.link, &nic_mark(wanted))
    }

    /// The bridge of the network, found by its mark, so that no foreign bridge is used.
    fn bridge(&self, wanted: &Attach) -> Result<Link, Failure> {
        let mark = mark(&wanted.stack, &wanted.nic.network, "bridge");
        self.links.get(&mark).cloned().ok_or_else(|| {
            let message = format!(
                "network {} of stack {} does not exist on this host",
                wanted.nic.network, wanted.stack
            );
            Failure::new(Kind::Failed, "net.attach.network", message)
                .hint("create it first: lsx-net up STACK")
        })
    }

    /// Whether the interface exists as wanted in that namespace.
    fn stands(&mut self, wanted: &Attach, bridge: &Link, inner: &mut Socket) -> Result<bool, Failure> {
        let mark = nic_mark(wanted);
        let Some(port) = self.links.get(&mark) else { return Ok(false) };
        let inside = dump::link(inner, Device::Name(&wanted.nic.name)).map_err(failure)?;
        let Some(inside) = inside.filter(|l| l.index == port.lower.unwrap_or(0)) else { return Ok(false) };
        let addresses = addr::list(inner).map_err(failure)?;
        let has = dynamic(&wanted.nic)
            || addresses.iter().any(|a| a.device == inside.index && a.address == wanted.nic.address);
        let mac = inside.mac.map(crate::observe::mac);
        let there = route::list(inner).map_err(failure)?;
        let leads = |one: route::Route| there.iter().any(|entry| entry.route == one);
        Ok(has
            && routes(&wanted.nic, inside.index).all(leads)
            && inside.up
            && port.up
            && port.name == wanted.nic.link
            && port.group == GROUP
            && port.master == Some(bridge.index)
            && port.mtu == bridge.mtu
            && inside.mtu == bridge.mtu
            && mac.as_deref() == Some(wanted.nic.mac.as_str()))
    }

    fn make(&mut self, wanted: &Attach, bridge: &Link, space: BorrowedFd<'_>) -> Result<(), Failure> {
        let nic = &wanted.nic;
        displaced(&mut self.socket, &nic.link, &nic_mark(wanted))?;
        let veth = Veth {
            name: &nic.link,
            index: 0,
            mac: derived(&nic.link),
            mtu: bridge.mtu,
            master: Some(bridge.index),
            group: GROUP,
            peer: Peer { name: &nic.name, mac: parse_mac(&nic.mac)?, namespace: space },
        };
        self.socket.request(&veth.create()).map_err(|error| {
            let taken = error.exists();
            let refused = failure(error);
            if taken {
                refused.hint(format!("the namespace already has an interface {}", nic.name))
            } else {
                refused
            }
        })?;
        silence(&nic.link)
    }

    fn detach(&mut self, wanted: &Attach) -> Result<Attached, Failure> {
        remove_resolver(wanted)?;
        let mark = nic_mark(wanted);
        let Some(port) = self.links.get(&mark) else {
            return Ok(report(wanted, false));
        };
        match self.socket.request(&link::delete(Device::Index(port.index))) {
            Err(error) if !error.missing() => Err(failure(error)),
            _ => Ok(report(wanted, true)),
        }
    }
}

fn report(wanted: &Attach, changed: bool) -> Attached {
    Attached { schema: common::document::schema("net", "attached"), attach: wanted.clone(), changed }
}

/// The mark on the host's end: `lsx:office:web-1.eth0:nic`.
fn nic_mark(wanted: &Attach) -> String {
    mark(&wanted.stack, &format!("{}.{}", wanted.instance, wanted.nic.name), "nic")
}

/// Address, routes and state inside the namespace.
fn fill(wanted: &Attach, mtu: u32, inner: &mut Socket) -> Result<(), Failure> {
    let nic = &wanted.nic;
    let lo = Change { up: Some(true), ..Change::default() };
    ask(inner, &link::change(Device::Name("lo"), &lo))?;
    let device = crate::apply::ask::index(inner, &nic.name)?;
    if !dynamic(nic) {
        ask(inner, &addr::replace(device, nic.address))?;
    }
    let up = Change { up: Some(true), mtu: Some(mtu), ..Change::default() };
    ask(inner, &link::change(Device::Index(device), &up))?;
    for route in routes(nic, device) {
        ask(inner, &route.replace())?;
    }
    Ok(())
}

/// Whether DHCP assigns the address.
fn dynamic(nic: &NicAt) -> bool {
    nic.address.addr().is_unspecified()
}

/// Name servers of a named namespace, in the file that ip-netns(8) mounts over /etc/resolv.conf. For a process this is up
/// to whoever created its file system.
fn resolver(wanted: &Attach) -> Result<bool, Failure> {
    let (Some(path), false) = (resolver_file(wanted), wanted.nic.resolver.is_empty()) else {
        return Ok(false);
    };
    let mut text = format!("{RESOLVER_HEAD}\n");
    for server in &wanted.nic.resolver {
        text += &format!("nameserver {server}\n");
    }
    if !wanted.nic.search.is_empty() {
        text += &format!("search {}\n", wanted.nic.search.join(" "));
    }
    file::write(&path, text.as_bytes(), Mode::Public)
}

/// Removes such a file, and its folder if empty.
fn remove_resolver(wanted: &Attach) -> Result<(), Failure> {
    let Some(path) = resolver_file(wanted) else { return Ok(()) };
    if file::read(&path)?.is_some_and(|text| text.starts_with(RESOLVER_HEAD)) {
        file::remove(&path)?;
        path.ancestors().skip(1).take(2).for_each(file::remove_empty);
    }
    Ok(())
}

fn resolver_file(wanted: &Attach) -> Option<PathBuf> {
    let path = wanted.netns.as_deref()?;
    let name = if path.is_absolute() { path.strip_prefix("/run/netns").ok()? } else { path };
    Some(Path::new("/etc/netns").join(name).join("resolv.conf"))
}

/// The default route and those through other gateways.
fn routes(nic: &NicAt, device: u32) -> impl Iterator<Item = route::Route> {
    let default = nic.gateway.map(|via| (ipnet::Ipv4Net::default(), via));
    let all = default.into_iter().chain(nic.routes.iter().map(|r| (r.to, r.via)));
    all.map(move |(to, via)| route::Route {
        destination: to.trunc(),
        gateway: Some(via),
        device: Some(device),
    })
}

fn space(wanted: &Attach) -> Result<OwnedFd, Failure> {
    let open = |place: namespace::NamespaceRef<'_>| {
        let path = place.path().map(|p| p.display().to_string()).unwrap_or_default();
        namespace::open(place).map_err(|e| io_failure(&format!("open the network namespace {path}"), &e))
    };
    match (&wanted.netns, wanted.pid) {
        (Some(path), None) if path.is_absolute() => open(namespace::NamespaceRef::Path(path)),
        (Some(name), None) => open(namespace::NamespaceRef::Name(&name.to_string_lossy())),
        (None, Some(pid)) => open(namespace::NamespaceRef::Process(pid)),
        _ => Err(Failure::new(Kind::Usage, "usage.netns", "one of --netns and --pid is required")),
    }
}

//! Settings of interfaces that decide what the kernel forwards: forwarding and rp_filter.

use super::failure;
use crate::model::{Intent, unmark};
use crate::netlink::dump::Link;
use crate::netlink::{Socket, addr, route, sysctl};
use common::Failure;
use std::collections::BTreeSet;

/// The setting that lets a host forward packets at all.
pub(crate) const FORWARD: &str = "ipv4/ip_forward";

/// The setting that lets packets received on an interface be forwarded.
pub(crate) fn forwarding(link: &str) -> String {
    format!("ipv4/conf/{link}/forwarding")
}

/// A default route, whole or in two halves, as VPNs add it above the host's own.
pub(super) fn default(entry: &route::Entry) -> bool {
    entry.route.destination.prefix_len() <= 1
}

/// Interfaces of the host that carry packets of its router: those of default routes, the one with the host's address, and
/// the stack's own link to the router.
fn carriers(
    stack: &str,
    links: &[Link],
    socket: &mut Socket,
    intent: Option<&Intent>,
) -> Result<BTreeSet<String>, Failure> {
    let name = |index: u32| links.iter().find(|l| l.index == index).map(|l| l.name.clone());
    let routes = route::followed(socket).map_err(failure)?;
    let outward = routes.iter().filter(|r| default(r)).filter_map(|r| name(r.route.device?));
    let mut all: BTreeSet<String> = outward.collect();
    if let Some(intent) = intent {
        let addresses = addr::list(socket).map_err(failure)?;
        let own = addresses.iter().filter(|a| a.address.addr() == intent.desired.address);
        all.extend(own.filter_map(|a| name(a.device)));
    }
    all.extend(worlds(links).filter(|(s, _)| *s == stack).map(|(_, link)| link.name.clone()));
    Ok(all)
}

/// Links between hosts and routers, with their stacks.
pub(crate) fn worlds(links: &[Link]) -> impl Iterator<Item = (&str, &Link)> {
    links.iter().filter_map(|link| {
        let mut marks = link.altnames.iter().filter_map(|a| unmark(a));
        marks.find(|(.., role)| *role == "world").map(|(stack, ..)| (stack, link))
    })
}

/// Those of them with forwarding disabled.
pub(crate) fn off(
    stack: &str,
    links: &[Link],
    socket: &mut Socket,
    intent: Option<&Intent>,
) -> Result<Vec<String>, Failure> {
    Ok(closed(carriers(stack, links, socket, intent)?.into_iter().collect()))
}

/// Links of the calling thread's namespace with forwarding disabled.
pub(super) fn closed(mut links: Vec<String>) -> Vec<String> {
    let off =
        |link: &String| sysctl::read_here(&forwarding(link)).is_ok_and(|value| value.as_deref() == Some("0"));
    links.retain(off);
    links
}

/// Interfaces with a strict rp_filter: the larger of their own setting and that of all (ip-sysctl).
pub(super) fn strict(links: &[Link]) -> Result<Vec<String>, Failure> {
    let setting = |name: &str| {
        let value = sysctl::read_here(&format!("ipv4/conf/{name}/rp_filter"));
        value.ok().flatten().and_then(|text| text.parse::<u8>().ok()).unwrap_or(0)
    };
    let all = setting("all");
    let others = links.iter().filter(|l| !l.altnames.iter().any(|a| unmark(a).is_some()) && l.name != "lo");
    Ok(others.map(|l| &l.name).filter(|name| setting(name).max(all) == 1).cloned().collect())
}

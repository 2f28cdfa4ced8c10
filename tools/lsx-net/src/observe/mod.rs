//! Observes this host: the objects of lsx-net, and what could collide with new ones. Changes nothing.

mod forwarding;
mod host;
mod intent;
mod kernel;
mod links;
mod listeners;
mod neighbours;
pub(crate) mod prior;
mod rules;
pub(crate) mod spaces;
pub(crate) mod ways;

pub(crate) use forwarding::of_network;
pub(crate) use host::own_addresses;
pub(crate) use intent::{keeper, kept_intent};
pub(crate) use links::mac;
pub(crate) use rules::record;
pub(crate) use rules::{Listing, marked_rules};

use crate::model::{self, Facts, Intent, Object, unmark};
use crate::netlink::dump::{self, Link};
use crate::netlink::{NetlinkError, Socket, namespace, sysctl};
use crate::paths::Paths;
use crate::supervise::Home;
use common::host::kept::Found;
use common::plan::{Have, Warning};
use common::{Failure, Kind};
use std::collections::BTreeSet;
use std::io;

/// The result of observing a host.
pub(crate) type Observation = (Vec<Have<Object>>, Facts, Vec<Warning>);

/// Reads the objects of one stack, or of all.
///
/// # Errors
/// Kind `Denied` without root; otherwise errors of the kernel.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation, Failure> {
    let mut socket = Socket::open().map_err(|e| io_failure("open a netlink socket", &e))?;
    let links = dump::links(&mut socket).map_err(failure)?;
    let mut seen = host::seen(&mut socket, &links, stack)?;
    let mut warnings = Vec::new();
    let mut objects = Vec::new();
    let chains = rules::look(stack, &mut seen, &mut warnings)?;
    for name in stacks(&links, stack)? {
        let kept = keeper(&name).observe()?;
        let router = router_links(&name)?;
        objects.extend(one(&name, &links, router.as_deref(), &mut socket, &chains, &kept)?);
        warnings.extend(kept.warnings);
        seen.intent = kept.intent.filter(|_| stack.is_some());
        let home = Home::new(&name);
        seen.replicas.extend(home.replicas());
        seen.certificates.extend(home.certificates());
    }
    seen.attached = links::attached(&links, stack);
    if let Some(stack) = stack {
        seen.inhabitants = inhabitants(stack, &links, &mut warnings)?;
    }
    if let (Some(stack), Some(intent)) = (stack, &seen.intent) {
        seen.known = neighbours::known(stack, &links, intent)?;
    }
    Ok((objects, seen, warnings))
}

/// The stacks that have anything here.
fn stacks(links: &[Link], only: Option<&str>) -> Result<BTreeSet<String>, Failure> {
    if let Some(stack) = only {
        return Ok(BTreeSet::from([stack.to_owned()]));
    }
    let marks =
        links.iter().flat_map(|l| &l.altnames).filter_map(|a| unmark(a)).map(|(stack, ..)| stack.to_owned());
    let routers = namespace::list().map_err(|e| io_failure("list network namespaces", &e))?;
    let routers = routers.iter().filter_map(|n| n.strip_prefix("lsx-")).map(str::to_owned);
    Ok(marks.chain(routers).chain(Paths::stacks()).collect())
}

/// The links inside a stack's router; `None` when there is no router.
fn router_links(stack: &str) -> Result<Option<Vec<links::RouterLink>>, Failure> {
    let name = model::router(stack);
    let socket = match namespace::enter(namespace::NamespaceRef::Name(&name), Socket::open) {
        Ok((_, socket)) => socket,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Left half done by a killed run: a router without anything in it, to be completed or removed.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Ok(Some(Vec::new())),
        Err(e) => return Err(io_failure(&format!("open the network namespace {name}"), &e)),
    };
    let mut socket = socket.map_err(|e| io_failure(&format!("enter {name}"), &e))?;
    let links = dump::links(&mut socket).map_err(failure)?;
    let addresses = crate::netlink::addr::list(&mut socket).map_err(failure)?;
    let routes = crate::netlink::route::list(&mut socket).map_err(failure)?;
    let leads = |l: &Link| {
        routes.iter().any(|r| r.route.destination.prefix_len() == 0 && r.route.device == Some(l.index))
    };
    // A world link without a route through it counts as one without an address: both are set in the same step.
    let of = |l: &Link| match l.name == model::WORLD && !leads(l) {
        true => Vec::new(),
        false => addresses.iter().filter(|a| a.device == l.index).map(|a| a.address).collect(),
    };
    Ok(Some(links.into_iter().map(|l| (of(&l), l)).map(|(a, l)| (l, a)).collect()))
}

fn one(
    stack: &str,
    links: &[Link],
    router: Option<&[links::RouterLink]>,
    socket: &mut Socket,
    rules: &Listing,
    kept: &Found<Intent>,
) -> Result<Vec<Have<Object>>, Failure> {
    let mut objects = Vec::new();
    let paths = Paths::new(stack);
    // By observation, since records may be lost: a stack with a router needs forwarding.
    if paths.uses_routing() || router.is_some() || ways::worlds(links).any(|(s, _)| s == stack) {
        let forwards = ip_forward()? && paths.uses_routing() && prior::Prior::noted().is_some();
        let forwarding_off = ways::off(stack, links, socket, kept.intent.as_ref())?;
        objects.push(have("routing:host", Object::Routing { forwards, forwarding_off }, &[]));
    }
    if router.is_some() {
        let name = model::router(stack);
        let forwards = forwards(&name, router)?;
        objects.push(have("router:host", Object::Router { name, forwards }, &[]));
    }
    objects.extend(rules::objects(stack, rules)?);
    objects.extend(links::objects(stack, links, router));
    objects.extend(forwarding::objects(stack, links, socket)?);
    objects.extend(host::routes(stack, links, socket)?);
    if let Some(server) = Home::new(stack).observed(&kept.more) {
        let key = format!("service:{}", server.name);
        objects.push(have(&key, Object::Service(server), &["router:host"]));
    }
    objects.extend(intent::objects(kept));
    Ok(objects)
}

/// Processes in a stack's router. A process in a namespace whose name now belongs to another one is reported, too: the old
/// one gets no packets any more.
fn inhabitants(stack: &str, links: &[Link], warnings: &mut Vec<Warning>) -> Result<Vec<String>, Failure> {
    let name = model::router(stack);
    let mut found = spaces::inhabitants(&std::path::Path::new("/run/netns").join(&name))?;
    if !found.is_empty() {
        // The server of lsx itself ends before its router.
        let home = Home::new(stack);
        let number = |one: &str| one.split(' ').next()?.parse().ok();
        found.retain(|one| !number(one).is_some_and(|process| home.has(process)));
    }
    let ours = |l: &&Link| {
        l.altnames
            .iter()
            .filter_map(|a| unmark(a))
            .any(|(s, _, role)| s == stack && matches!(role, "world" | "leg"))
    };
    let ports: Vec<&Link> = links.iter().filter(ours).collect();
    let left = spaces::left(&name, &ports)?;
    if !left.is_empty() {
        let message = format!(
            "the network namespace {name} was replaced, but the old one is still used, without its links, by: {}; end or restart these processes",
            left.join(", ")
        );
        warnings.push(Warning { code: "net.router.replaced".to_owned(), message });
    }
    Ok(found)
}

/// Whether the router forwards, on each of its links.
fn forwards(router: &str, links: Option<&[links::RouterLink]>) -> Result<bool, Failure> {
    let names = links.into_iter().flatten().map(|(l, _)| l.name.clone()).filter(|n| n != "lo").collect();
    let read = || Ok(ip_forward()? && ways::closed(names).is_empty());
    match namespace::enter(namespace::NamespaceRef::Name(router), read) {
        Ok((_, forwards)) => forwards,
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(e) => Err(io_failure(&format!("open the network namespace {router}"), &e)),
    }
}

/// Whether the calling thread's namespace forwards.
fn ip_forward() -> Result<bool, Failure> {
    let value = sysctl::read_here(ways::FORWARD).map_err(|e| io_failure("read ip_forward", &e))?;
    Ok(value.as_deref() == Some("1"))
}

/// An object with its key and dependencies.
pub(crate) fn have(key: &str, object: Object, needs: &[&str]) -> Have<Object> {
    Have { key: key.to_owned(), object, needs: needs.iter().map(|n| (*n).to_owned()).collect() }
}

/// The failure of a netlink request.
#[expect(clippy::needless_pass_by_value, reason = "map_err passes it by value")]
pub(crate) fn failure(error: NetlinkError) -> Failure {
    let kind = if error.denied() { Kind::Denied } else { Kind::Failed };
    let failure = Failure::new(kind, "net.kernel", error.to_string());
    if error.denied() {
        failure.hint("lsx-net needs root on a host; on this machine run it with sudo")
    } else {
        failure
    }
}

/// The failure of a system call.
pub(crate) fn io_failure(what: &str, error: &io::Error) -> Failure {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let failure = Failure::new(
        if denied { Kind::Denied } else { Kind::Failed },
        "net.system",
        format!("cannot {what}: {error}"),
    );
    if denied {
        failure.hint("lsx-net needs root on a host; on this machine run it with sudo")
    } else {
        failure
    }
}

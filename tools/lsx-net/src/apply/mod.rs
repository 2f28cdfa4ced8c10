//! Changes one object of this host from its existing to its wanted state; nothing else writes. Repeating a change is
//! harmless, so a run that was killed is completed by the next one.

pub(crate) mod ask;
mod carried;
mod files;
mod flows;
mod forwarding;
pub(crate) mod link;
pub(crate) mod marked;
mod neighbours;
mod removal;
mod router;
mod routing;
mod rules;
mod service;

pub(crate) use neighbours::introduce;

use crate::model::Object;
use crate::netlink::Socket;
use crate::observe::io_failure;
use crate::plan::Data;
use common::Failure;
use common::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Changes objects of one stack on this host, and records what it replaced, for undo.
pub(crate) struct Changer {
    stack: String,
    plan: Arc<Plan<Object, Data>>,
    /// Links are created one at a time: the kernel's lock (rtnl) allows only one, and a setting written while another
    /// thread holds it is retried in a busy loop (`addrconf_disable_ipv6` restarts the system call).
    sockets: Mutex<Option<Sockets>>,
    /// Texts by digest that this run has replaced.
    texts: Mutex<BTreeMap<String, String>>,
    /// Forwarding entries by digest that this run has replaced.
    entries: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// State that was lost with links and routers removed by this run.
    carried: Mutex<carried::Carried>,
    removals: removal::Removals,
}

impl Changer {
    /// For the steps of a plan.
    pub(crate) fn new(plan: Arc<Plan<Object, Data>>) -> Self {
        Changer {
            stack: plan.stack.clone(),
            plan,
            sockets: Mutex::default(),
            texts: Mutex::default(),
            entries: Mutex::default(),
            carried: Mutex::default(),
            removals: removal::Removals::default(),
        }
    }

    /// Changes one object.
    ///
    /// # Errors
    /// What the kernel, nft or the file system refused.
    pub(crate) fn change(&self, before: Option<&Object>, after: Option<&Object>) -> Result<(), Failure> {
        match (before, after) {
            (Some(Object::Port(there)), Some(Object::Port(port))) if there.link != port.link => {
                let mut socket = socket()?;
                marked::rename(&mut socket, &there.link, &port.link)?;
                link::plug(&mut socket, port)
            }
            (before, Some(object)) => self.make(before.is_none(), object),
            (Some(object), None) => self.remove(object),
            (None, None) => Ok(()),
        }
    }

    /// `new`: it does not exist.
    fn make(&self, new: bool, object: &Object) -> Result<(), Failure> {
        match object {
            Object::Firewall(firewall) => self.load(firewall),
            Object::Accept(accept) => rules::accept(&self.stack, accept),
            Object::Service(server) => self.serve(server),
            Object::Intent(_) => self.replaces(object),
            Object::Boot { .. } | Object::Remnant { .. } => Ok(()),
            _ => self.make_kernel(new, object),
        }
    }

    fn make_kernel(&self, new: bool, object: &Object) -> Result<(), Failure> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets = match &mut *sockets {
            Some(sockets) => sockets,
            none => none.insert(Sockets { here: socket()?, router: None }),
        };
        match object {
            Object::Routing { .. } => routing::enter(&self.stack, &mut sockets.here),
            Object::Router { name, .. } => {
                sockets.router = None;
                router::make_router(name).and_then(|()| self.rules_again())
            }
            Object::World(world) => {
                link::world(sockets, &self.stack, world)?;
                self.routes_again(&mut sockets.here)
            }
            Object::Bridge(bridge) => link::bridge(&mut sockets.here, &self.stack, bridge),
            Object::Tunnel(tunnel) => {
                link::tunnel(&mut sockets.here, &self.stack, tunnel)?;
                self.entries_again(&mut sockets.here, tunnel)
            }
            Object::Leg(leg) => {
                link::leg(sockets, &self.stack, leg)?;
                let (_, _, inner) = sockets.with_router(&self.stack)?;
                self.known_again(inner, &leg.link)?;
                self.introduce_leg(inner, &leg.link, &leg.network)
            }
            Object::Neighbours(neighbours) => self.acquaint(&mut sockets.here, neighbours),
            Object::Port(port) => link::plug(&mut sockets.here, port),
            Object::Forwarding(forwarding) => self.forward(&mut sockets.here, new, forwarding),
            Object::Route(route) => link::route(&mut sockets.here, route),
            _ => Ok(()),
        }
    }

    fn remove(&self, object: &Object) -> Result<(), Failure> {
        let mut socket = socket()?;
        self.carry(&mut socket, object)?;
        match object {
            Object::Routing { .. } => routing::leave(&self.stack, &mut socket),
            Object::Router { name, .. } => router::remove_router(&self.stack, name),
            Object::World(world) => self.removals.remove(&world.link),
            Object::Bridge(bridge) => self.removals.remove(&bridge.link),
            Object::Tunnel(tunnel) => self.removals.remove(&tunnel.link),
            Object::Leg(leg) => self.removals.remove(&leg.link),
            // By itself: a run that is killed between the two requests of a removal would leave it in a group that nobody knows.
            Object::Remnant { link } => link::remove(&mut socket, link),
            Object::Forwarding(forwarding) => self.clear(&mut socket, forwarding),
            Object::Route(route) => link::remove_route(&mut socket, route),
            Object::Firewall(firewall) => self.unload(firewall),
            Object::Accept(accept) => rules::leave(&self.stack, accept),
            Object::Service(_) => self.end_service(),
            Object::Intent(_) => self.forgets(),
            Object::Boot { .. } => Ok(()),
            Object::Port(_) | Object::Neighbours(_) => Ok(()), // these are removed with their instances
        }
    }

    /// A text named by a step: from the plan, or one that this run has replaced.
    fn text(&self, digest: &str) -> Option<String> {
        let replaced = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        self.plan.contents.get(digest).or_else(|| replaced.get(digest)).cloned()
    }

    /// Records a text that is about to be replaced.
    fn remember(&self, digest: String, text: String) {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, text);
    }
}

/// Sockets that are reused: opening one costs as much as a request.
struct Sockets {
    here: Socket,
    /// A socket in the stack's router, with the namespace; opened on first use.
    router: Option<(OwnedFd, Socket)>,
}

fn socket() -> Result<Socket, Failure> {
    Socket::open().map_err(|e| io_failure("open a netlink socket", &e))
}

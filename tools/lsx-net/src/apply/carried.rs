//! State that the kernel removes with a link or a namespace, and that has no step in a plan: entries with their tunnel, routes with
//! their link, rules with the router. It is recorded before removal, so that undo can restore it.

use super::Changer;
use super::ask::index;
use super::link;
use crate::model::{Object, Route, RulesAt, Tunnel};
use crate::netlink::{Mac, Socket, namespace, neigh, route};
use crate::observe::{failure, io_failure, of_network};
use crate::paths::{Paths, note};
use common::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::{MutexGuard, PoisonError};

/// State recorded by this run.
#[derive(Debug, Default)]
pub(super) struct Carried {
    entries: BTreeMap<String, BTreeSet<String>>,
    routes: Vec<Route>,
    rules: Option<String>,
    /// Neighbour entries of legs, by link.
    known: BTreeMap<String, Vec<(Ipv4Addr, Mac)>>,
}

impl Changer {
    fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the state that is lost with an object that is about to be removed.
    pub(super) fn carry(&self, socket: &mut Socket, object: &Object) -> Result<(), Failure> {
        match object {
            Object::Tunnel(tunnel) => {
                let devices = (index(socket, &tunnel.bridge), index(socket, &tunnel.link));
                if let (Ok(bridge), Ok(link)) = devices {
                    let entries = of_network(socket, bridge, link)?;
                    self.carried().entries.insert(tunnel.link.clone(), entries);
                }
            }
            Object::World(world) => {
                let device = index(socket, &world.link).ok();
                let ours = route::ours(socket).map_err(failure)?;
                let ours = ours.into_iter().filter(|r| device.is_some() && r.route.device == device);
                let routes = ours.filter_map(|r| {
                    let (to, via) = (r.route.destination, r.route.gateway?);
                    Some(Route { to, via, link: world.link.clone() })
                });
                self.carried().routes = routes.collect();
                super::routing::save(&self.stack, socket)?;
            }
            Object::Leg(leg) => {
                let Ok(space) = namespace::open(namespace::NamespaceRef::Name(&leg.router)) else {
                    return Ok(());
                };
                let mut inner =
                    Socket::open_in(space.as_fd()).map_err(|e| io_failure("enter the router", &e))?;
                let Ok(device) = index(&mut inner, &leg.link) else { return Ok(()) };
                let known = neigh::list(&mut inner, Some(device)).map_err(failure)?;
                let known = known.iter().filter(|n| n.permanent).filter_map(|n| Some((n.address, n.mac?)));
                self.carried().known.insert(leg.link.clone(), known.collect());
            }
            Object::Router { .. } => {
                let record = note(&Paths::new(&self.stack).rules(RulesAt::Router))?;
                self.carried().rules = record.and_then(|r| Some(r.split_once('\n')?.1.to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Restores the entries of a tunnel.
    pub(super) fn entries_again(&self, socket: &mut Socket, tunnel: &Tunnel) -> Result<(), Failure> {
        let noted = self.carried().entries.remove(&tunnel.link);
        let Some(entries) = noted else { return Ok(()) };
        let (bridge, link) = (index(socket, &tunnel.bridge)?, index(socket, &tunnel.link)?);
        let there = of_network(socket, bridge, link)?;
        self.change_entries(socket, (bridge, link), there, &entries)
    }

    /// Restores the neighbour entries of a leg.
    pub(super) fn known_again(&self, inner: &mut Socket, link: &str) -> Result<(), Failure> {
        let noted = self.carried().known.remove(link);
        let Some(known) = noted.filter(|known| !known.is_empty()) else { return Ok(()) };
        let device = index(inner, link)?;
        let again: Vec<_> = known.into_iter().map(|(a, mac)| neigh::replace(device, a, mac)).collect();
        inner.batch(&again).into_iter().try_for_each(|verdict| verdict.map_err(failure))
    }

    /// Restores the routes through a world link.
    pub(super) fn routes_again(&self, socket: &mut Socket) -> Result<(), Failure> {
        let noted = std::mem::take(&mut self.carried().routes);
        noted.iter().try_for_each(|one| link::route(socket, one))
    }

    /// Restores the rules of a router; no link to it exists yet.
    pub(super) fn rules_again(&self) -> Result<(), Failure> {
        let noted = self.carried().rules.take();
        noted.map_or(Ok(()), |text| self.load_text(RulesAt::Router, &text))
    }
}

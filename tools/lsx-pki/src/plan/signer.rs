//! The authority of a plan: the one that is there, or a new one; and what it may issue. Pure.

use crate::Pki;
use crate::model::{Authority, AuthoritySeen, Own, State};
use common::plan::Warning;
use common::stack::resolved::CertificateAt;
use common::stack::{Resolved, Stack};
use common::tool::ObservedOf;
use common::{Failure, Failures, Kind};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// Default lifetimes, in seconds.
const LIFE: u64 = 730 * 86_400;
const ROOT_LIFE: u64 = 3650 * 86_400;

/// The authority, and its host.
pub(super) struct Signer {
    pub(super) host: String,
    /// As it is to be.
    pub(super) authority: Authority,
    /// As it is; none if there is none yet.
    pub(super) seen: Option<AuthoritySeen>,
    /// Whether its host takes part.
    pub(super) here: bool,
    /// Whether this plan renews it.
    pub(super) renewed: bool,
}

impl Signer {
    /// That of a document; none if it has no section `pki`.
    ///
    /// # Errors
    /// If it cannot be used, or is on another host.
    pub(super) fn of(
        stack: &Stack,
        resolved: &Resolved,
        observed: &BTreeMap<String, ObservedOf<Pki>>,
    ) -> Result<Option<Signer>, Failures> {
        let Some(host) = stack.pki.as_ref().and_then(|_| stack.signer()) else { return Ok(None) };
        let authorities = |seen: &ObservedOf<Pki>| {
            seen.seen.authorities.iter().find(|one| one.stack == stack.name).cloned()
        };
        let other = observed.iter().find(|(name, seen)| *name != host && authorities(seen).is_some());
        if let Some((other, _)) = other {
            let message = format!("the authority of stack {} is on {other}, not on {host}", stack.name);
            let hint = format!("write pki.host: {other}; its keys are not moved");
            return Err(Failure::new(Kind::Data, "pki.plan.moved", message).at("pki.host").hint(hint).into());
        }
        let seen = observed.get(host).and_then(authorities);
        let there = observed.get(host).and_then(|seen| seen.objects.iter().find_map(authority));
        if let (Some(there), Some(seen)) = (there, &seen) {
            usable(stack, host, there, seen)?;
        }
        if there.is_none() && observed.contains_key(host) {
            lost(stack, host, observed)?;
        }
        let authority = match there {
            Some(there) => Authority { state: State::Valid, ..there.clone() },
            None => new(stack, resolved),
        };
        let renewed = there.is_some_and(|there| there.state != State::Valid);
        let (host, here) = (host.to_owned(), observed.contains_key(host));
        Ok(Some(Signer { host, authority, seen, here, renewed }))
    }

    /// What is wrong with the names of a certificate.
    pub(super) fn refuses(&self, certificate: &CertificateAt) -> Vec<Failure> {
        if !self.here && self.seen.is_none() {
            return Vec::new(); // Nobody knows, and nothing is issued.
        }
        let names = certificate.names.iter().filter(|name| !self.authority.permits_name(name)).cloned();
        let addresses = certificate.addresses.iter().filter(|at| !self.authority.permits_address(**at));
        let all: Vec<String> = names.chain(addresses.map(ToString::to_string)).collect();
        let hint = match &self.seen {
            None => "write them in pki.authority.permit, with the domain of the stack".to_owned(),
            Some(_) => {
                let networks = self.authority.networks.iter().map(ToString::to_string);
                let may: Vec<String> = self.authority.names.iter().cloned().chain(networks).collect();
                format!(
                    "it was made for {}, and that cannot be changed; `lsx-pki down --destroy-data` removes it, \
                     and all clients must then trust the next one",
                    may.join(", ")
                )
            }
        };
        let told = |name: String| {
            let message = format!("the authority may not issue certificates for {name}");
            let failure = Failure::new(Kind::Data, "pki.plan.permit", message).hint(hint.clone());
            failure.at(format!("pki.certificates.{}", certificate.name))
        };
        all.into_iter().map(told).collect()
    }

    /// What the document says of an authority that is there, and that it does not follow.
    pub(super) fn kept(&self, stack: &Stack, resolved: &Resolved) -> Option<Warning> {
        let said = stack.pki.as_ref()?.authority.as_ref().filter(|_| self.seen.is_some())?;
        let (new, own) = (new(stack, resolved), &self.authority);
        let permit = said.permit.is_some() && (&new.names, &new.networks) != (&own.names, &own.networks);
        let life = said.root.as_ref().is_some_and(|root| root.life.is_some());
        let keys = [
            (said.name.is_some() && new.name != own.name, "name"),
            (said.life.is_some() && new.life_s != own.life_s, "life"),
            (life && new.root_life_s != own.root_life_s, "root.life"),
            (permit, "permit"),
        ];
        let differs: Vec<&str> =
            keys.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect();
        (!differs.is_empty()).then(|| Warning {
            code: "pki.plan.kept".to_owned(),
            message: format!(
                "the authority stays as it was made, with another value of {} than in pki.authority",
                differs.join(", ")
            ),
        })
    }
}

fn authority(have: &common::plan::Have<crate::model::Object>) -> Option<&Authority> {
    match have.object.own() {
        Some(Own::Authority(one)) => Some(one),
        _ => None,
    }
}

/// One that is damaged is never made anew: all that it has issued would be worth nothing.
fn usable(stack: &Stack, host: &str, there: &Authority, seen: &AuthoritySeen) -> Result<(), Failures> {
    if matches!(there.state, State::Valid | State::Due | State::Expired) {
        return Ok(());
    }
    let why = seen.why.clone().unwrap_or_default();
    let message = format!("the authority of stack {} cannot be used: {why}", stack.name);
    let hint = match there.state {
        State::Early => "is the clock of the host right?".to_owned(),
        State::Open => format!("if nobody has read it, chmod 600 {}/*", seen.path),
        _ => format!(
            "put its files back in {}; or `lsx-pki down --destroy-data {}` removes it, and all clients must trust the \
             next one",
            seen.path, stack.name
        ),
    };
    Err(Failure::new(Kind::Failed, "pki.plan.authority", message).on(host).hint(hint).into())
}

/// Where the root is there has been an authority: it is not made anew only because its folder is not there.
fn lost(stack: &Stack, host: &str, observed: &BTreeMap<String, ObservedOf<Pki>>) -> Result<(), Failures> {
    let has = |seen: &ObservedOf<Pki>| seen.seen.roots.iter().any(|root| root.stack == stack.name);
    let Some((at, _)) = observed.iter().find(|(_, seen)| has(seen)) else { return Ok(()) };
    let message = format!("the authority of stack {} is not on {host}, and {at} has its root", stack.name);
    let hint = format!(
        "put its folder back (is its disk mounted? was pki.host another host?); if it is lost, `lsx-pki down --destroy-data {}` \
         removes the rest, and all clients must trust the next one",
        stack.name
    );
    Err(Failure::new(Kind::Failed, "pki.plan.lost", message).on(host).hint(hint).into())
}

/// A new one, as the document says.
fn new(stack: &Stack, resolved: &Resolved) -> Authority {
    let said = stack.pki.as_ref().and_then(|pki| pki.authority.as_ref());
    let permit = said.and_then(|said| said.permit.as_ref());
    let named = permit.map(|permit| permit.names.clone()).filter(|names| !names.is_empty());
    let networks = permit.map(|permit| permit.networks.clone()).filter(|networks| !networks.is_empty());
    let seconds = |span: common::stack::Duration| span.0;
    let root = said.and_then(|said| said.root.as_ref());
    Authority {
        name: said.and_then(|said| said.name.clone()).unwrap_or_else(|| stack.name.clone()),
        names: named.unwrap_or_else(|| domains(stack)),
        networks: networks.unwrap_or_else(|| addresses(resolved)),
        life_s: said.and_then(|said| said.life).map_or(LIFE, seconds),
        root_life_s: root.and_then(|root| root.life).map_or(ROOT_LIFE, seconds),
        state: State::Valid,
    }
}

/// The domain of the stack, and those of networks that are not below it.
fn domains(stack: &Stack) -> Vec<String> {
    let below = |name: &String| name.strip_suffix(&stack.domain).is_some_and(|rest| rest.ends_with('.'));
    let more: BTreeSet<String> = stack.networks.keys().map(|name| stack.network_domain(name)).collect();
    let more = more.into_iter().filter(|name| *name != stack.domain && !below(name));
    [stack.domain.clone()].into_iter().chain(more).collect()
}

/// The networks of the stack, and the addresses of its hosts.
fn addresses(resolved: &Resolved) -> Vec<Ipv4Net> {
    let networks = resolved.networks.iter().filter_map(|network| network.cidr);
    let hosts = resolved.hosts.iter().map(|host| Ipv4Net::from(host.address));
    let all: BTreeSet<Ipv4Net> = networks.map(|net| net.trunc()).chain(hosts).collect();
    all.into_iter().collect()
}

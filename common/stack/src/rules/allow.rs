//! Permissions: both ends exist, and one gateway sees both directions of a connection.

use super::check::Check;
use crate::value::Select;
use std::collections::BTreeSet;

/// The networks of an end; `None` for an end outside the stack's networks.
type Feet<'s> = Option<BTreeSet<&'s str>>;

impl<'s> Check<'s> {
    pub(super) fn allow(&mut self) {
        for (i, allow) in self.stack.allow.iter().enumerate() {
            let path = |side: &str, n: usize| format!("allow.{i}.{side}.{n}");
            let known = [("from", &allow.from), ("to", &allow.to)].map(|(side, selects)| {
                let all: Vec<bool> = selects
                    .iter()
                    .enumerate()
                    .map(|(n, select)| self.selected(select, &path(side, n)))
                    .collect();
                all
            });
            for (n, from) in allow.from.iter().enumerate().filter(|(n, _)| known[0][*n]) {
                for (m, to) in allow.to.iter().enumerate().filter(|(m, _)| known[1][*m]) {
                    self.pair(from, to, &path("from", n), &path("to", m));
                }
            }
        }
    }

    fn selected(&mut self, select: &Select, path: &str) -> bool {
        let path = || path.to_owned();
        match select {
            Select::Network(name) => self.network(name, path).is_some(),
            Select::Instance(name) => self.instance(name, path).is_some(),
            Select::Host(name) => self.host(name, path).is_some(),
            Select::Every | Select::World | Select::Cidr(_) => true,
        }
    }

    fn feet(&self, select: &'s Select) -> Feet<'s> {
        match select {
            Select::Network(name) => Some(BTreeSet::from([name.as_str()])),
            Select::Instance(name) => {
                let instance = self.stack.instances.get(name)?;
                Some(instance.networks.iter().map(|nic| nic.name.as_str()).collect())
            }
            Select::Every => {
                let routed = self.stack.networks.iter().filter(|(_, network)| network.gateway.is_some());
                Some(routed.map(|(name, _)| name.as_str()).collect())
            }
            Select::World | Select::Host(_) | Select::Cidr(_) => None,
        }
    }

    fn router(&self, network: &str) -> Option<&'s str> {
        self.stack.networks.get(network)?.gateway.as_deref()
    }

    fn pair(&mut self, from: &'s Select, to: &'s Select, from_path: &str, to_path: &str) {
        match (self.feet(from), self.feet(to)) {
            (None, None) => {
                let message = format!("neither {from} nor {to} is in a network of this stack");
                self.tell(
                    "stack.allow.outside",
                    to_path.to_owned(),
                    message,
                    "write a network or an instance on one side",
                );
            }
            (Some(feet), None) => self.outside(from, &feet, to, from_path, to_path),
            (None, Some(feet)) => self.outside(to, &feet, from, to_path, from_path),
            (Some(a), Some(b)) => self.inside(from, &a, to, &b, to_path),
        }
    }

    /// Between a network and something outside: it passes through the network's router.
    fn outside(
        &mut self,
        inner: &Select,
        feet: &BTreeSet<&'s str>,
        outer: &Select,
        path: &str,
        outer_path: &str,
    ) {
        let routers: BTreeSet<&str> = feet.iter().filter_map(|name| self.router(name)).collect();
        if routers.is_empty() {
            let message = format!("{inner} has no gateway, so nothing passes to or from {outer}");
            return self.tell(
                "stack.allow.gateway",
                path.to_owned(),
                message,
                "write gateway: HOST at the network",
            );
        }
        if let Select::Host(host) = outer
            && !routers.contains(host.as_str())
        {
            let gateways = routers.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("{host} is not the gateway of {inner}, which is {gateways}");
            self.tell(
                "stack.allow.host",
                outer_path.to_owned(),
                message,
                "only the gateway's host can be reached from a network",
            );
        }
    }

    /// Between networks: one router must see both directions, or a stateful filter would drop the replies.
    fn inside(
        &mut self,
        from: &Select,
        a: &BTreeSet<&'s str>,
        to: &Select,
        b: &BTreeSet<&'s str>,
        path: &str,
    ) {
        for (select, feet) in [(from, a), (to, b)] {
            if feet.is_empty() {
                let message = format!("{select} is on no network that has a gateway");
                return self.tell(
                    "stack.allow.gateway",
                    path.to_owned(),
                    message,
                    "write gateway: HOST at the network",
                );
            }
        }
        let every = matches!(from, Select::Every) || matches!(to, Select::Every);
        let mut good = a.intersection(b).next().is_some();
        let mut bad: Option<(&str, &str)> = None;
        for (one, two) in
            a.iter().flat_map(|one| b.iter().map(move |two| (*one, *two))).filter(|(one, two)| one != two)
        {
            match (self.router(one), self.router(two)) {
                (Some(x), Some(y)) if x == y => good = true,
                _ => bad = bad.or(Some((one, two))),
            }
        }
        // An instance can be reached on any of its networks; `*` means all of them.
        let Some((one, two)) = bad.filter(|_| !good || every) else { return };
        let said = |name| {
            self.router(name).map_or_else(|| format!("{name} has none"), |host| format!("{name} has {host}"))
        };
        let message = format!("{from} and {to} need one gateway host: {}, {}", said(one), said(two));
        self.tell(
            "stack.allow.gateway",
            path.to_owned(),
            message,
            "write the same gateway: HOST at both networks",
        );
    }
}

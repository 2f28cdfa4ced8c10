//! A simulated host that does what a plan says, and reports itself as `observe` would.

use crate::Hosts;
use common::document::schema;
use common::plan::{Have, Object as _, Step};
use common::stack::resolved::{HostAt, Protocol};
use common::tool::{Draft, ObservedOf};
use lsx_net::model::{Facts, Intent, Listener, Object};
use lsx_net::{Net, plan};

/// Kinds in the order in which `observe` tells them.
const KINDS: [&str; 15] = [
    "routing",
    "router",
    "firewall",
    "accept",
    "remnant",
    "world",
    "bridge",
    "tunnel",
    "leg",
    "forwarding",
    "neighbours",
    "route",
    "service",
    "intent",
    "boot",
];

/// A host without anything of lsx.
pub(crate) fn bare(stack: &str, host: &HostAt) -> ObservedOf<Net> {
    let seen = Facts {
        routes: vec!["198.18.0.0/24".parse().unwrap()],
        listeners: vec![Listener { protocol: Protocol::Udp, port: 68, address: None, stack: String::new() }],
        addresses: vec![(host.address, "eth0".to_owned())],
        program: "/var/lib/lsx/bin/0123456789abcdef/lsx-net".to_owned(),
        ssh_port: Some(22),
        ..Facts::default()
    };
    looked(stack, &host.name, Vec::new(), seen)
}

/// The observed document.
pub(crate) fn looked(stack: &str, host: &str, objects: Vec<Have<Object>>, seen: Facts) -> ObservedOf<Net> {
    ObservedOf::<Net> {
        schema: schema("net", "observed"),
        stack: Some(stack.to_owned()),
        only: None,
        host: host.to_owned(),
        base: plan::base(&objects, &seen),
        stack_hosts: Vec::new(),
        warnings: Vec::new(),
        objects,
        seen,
    }
}

/// The objects of hosts after a plan. A step that does not match the existing objects is a mistake of the plan.
pub(crate) fn after(draft: &Draft<Net>, hosts: &Hosts) -> Hosts {
    let mut hosts = hosts.clone();
    for (name, host) in &mut hosts {
        let mut done: Vec<&str> = Vec::new();
        for step in draft.steps.iter().filter(|s| s.host == *name) {
            let early = step.needs.iter().find(|need| !done.contains(&need.as_str()));
            assert_eq!(early, None, "{} comes before what it needs", step.id);
            act(draft, step, host);
            done.push(&step.id);
        }
        host.objects.sort_by_key(|have| rank(&have.key));
        *host = looked(host.stack.as_deref().unwrap(), name, host.objects.clone(), host.seen.clone());
    }
    hosts
}

fn rank(key: &str) -> usize {
    let kind = key.split(':').next().unwrap_or_default();
    KINDS.iter().position(|k| *k == kind).unwrap_or_else(|| panic!("an object {key}"))
}

/// `bridge.create:lan` is about `bridge:lan`.
fn key(step: &Step<Object>) -> String {
    let (kind, rest) = step.id.split_once('.').unwrap();
    format!("{kind}:{}", rest.split_once(':').unwrap().1)
}

fn act(draft: &Draft<Net>, step: &Step<Object>, host: &mut ObservedOf<Net>) {
    let key = key(step);
    if let Some(Object::Port(port)) = &step.after {
        let there = host.seen.attached.iter_mut().find(|a| a.link == port.link).unwrap();
        there.bridge = port.bridge.clone().unwrap_or_default();
        return;
    }
    let there = host.objects.iter().position(|have| have.key == key);
    if let Some(before) = &step.before {
        let found = there.map(|i| &host.objects[i].object);
        assert_eq!(found, Some(before), "{} begins from what is not there", step.id);
    }
    let replaced = match (&step.before, &step.after) {
        (Some(before), Some(after)) => before.replaced_by(after),
        (_, None) => true,
        (None, Some(_)) => false,
    };
    there.map(|i| host.objects.remove(i));
    if replaced {
        carry_off(&mut host.objects, &key);
    }
    if let Some(after) = &step.after {
        host.objects.push(Have { needs: needs(after), object: after.clone(), key });
    }
    match (&step.before, &step.after) {
        (_, Some(Object::Intent(file))) => {
            let text =
                draft.contents.get(&file.digest).unwrap_or_else(|| panic!("no text of {}", file.digest));
            let desired: lsx_net::model::Desired = serde_json::from_str(text).unwrap();
            let rows =
                desired.networks.iter().filter_map(|n| draft.data.rows.get(&n.name)).flatten().cloned();
            let (schema, stack) = (schema("net", "intent"), desired.stack.clone());
            host.seen.intent = Some(Intent { schema, stack, rows: rows.collect(), desired });
        }
        (Some(Object::Intent(_)), None) => host.seen.intent = None,
        (_, Some(Object::Service(server))) => {
            assert!(draft.contents.contains_key(&server.config), "no text of {}", server.config);
        }
        (_, Some(Object::Firewall(f))) => {
            assert!(draft.contents.contains_key(&f.digest), "no text of {}", f.digest);
        }
        _ => {}
    }
}

/// The dependencies of an object, as reported by `observe`.
fn needs(object: &Object) -> Vec<String> {
    let text = |needs: &[&str]| needs.iter().map(|n| (*n).to_owned()).collect();
    match object {
        Object::World(_) => text(&["router:host", "routing:host"]),
        Object::Bridge(_) => text(&["firewall:host"]),
        Object::Tunnel(t) => vec![format!("bridge:{}", t.network)],
        Object::Leg(l) => vec![format!("bridge:{}", l.network), "router:host".to_owned()],
        Object::Forwarding(f) => vec![format!("tunnel:{}", f.network)],
        Object::Route(_) => text(&["world:host"]),
        Object::Firewall(f) if f.place == lsx_net::model::RulesAt::Router => text(&["router:host"]),
        Object::Service(_) => text(&["router:host"]),
        Object::Boot { .. } => text(&["intent:net"]),
        _ => Vec::new(),
    }
}

/// What the kernel removes with a device or a namespace, recursively.
pub(crate) fn carry_off(objects: &mut Vec<Have<Object>>, gone: &str) {
    let keys: Vec<String> =
        objects.iter().filter(|h| stands_on(&h.object, gone)).map(|h| h.key.clone()).collect();
    objects.retain(|have| !keys.contains(&have.key));
    keys.iter().for_each(|key| carry_off(objects, key));
}

fn stands_on(object: &Object, gone: &str) -> bool {
    match object {
        Object::Forwarding(f) => gone == format!("tunnel:{}", f.network),
        Object::Route(_) => gone == "world:host",
        Object::World(_) | Object::Leg(_) => gone == "router:host",
        Object::Firewall(f) => f.place == lsx_net::model::RulesAt::Router && gone == "router:host",
        _ => false,
    }
}

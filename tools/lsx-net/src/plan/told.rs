//! Changed rules in readable form: published ports and permissions.

use crate::model::{Desired, Nic};
use common::plan::show::{Line, Mark};
use common::stack::resolved::{AllowAt, PortAt, Selector};

/// The differences on a host between the old and the new intent.
pub(super) fn told(before: Option<&Desired>, after: &Desired) -> Vec<Line> {
    let old = before.map(|d| d.ports.as_slice()).unwrap_or_default();
    let mut lines: Vec<Line> = ports(old, &after.ports)
        .into_iter()
        .map(|(mark, name, text)| line(after, mark, name, text))
        .collect();
    let old = before.map(|d| d.allow.as_slice()).unwrap_or_default();
    let nics = |desired: Option<&Desired>| desired.map(|d| d.nics.clone()).unwrap_or_default();
    let known: Vec<Nic> = [nics(before), after.nics.clone()].concat();
    for allow in after.allow.iter().filter(|allow| !old.contains(allow)) {
        lines.push(permission(after, Mark::Add, allow, &known));
    }
    for allow in old.iter().filter(|allow| !after.allow.contains(allow)) {
        lines.push(permission(after, Mark::Remove, allow, &known));
    }
    lines
}

fn line(desired: &Desired, mark: Mark, name: String, text: String) -> Line {
    Line { host: desired.host.clone(), mark, name, text }
}

/// Published ports: one with another target counts as changed.
fn ports(old: &[PortAt], new: &[PortAt]) -> Vec<(Mark, String, String)> {
    let mut gone: Vec<&PortAt> = old.iter().filter(|port| !new.contains(port)).collect();
    let mut lines = Vec::new();
    for port in new.iter().filter(|port| !old.contains(port)) {
        let same = |p: &&PortAt| {
            (&p.instance, p.to_port, p.protocol) == (&port.instance, port.to_port, port.protocol)
        };
        let place = gone.iter().position(same);
        let text = |p: &PortAt| format!("to {}:{}{}", p.instance, p.to_port, sources(p));
        lines.push(match place.map(|n| gone.remove(n)) {
            Some(was) if published(was) != published(port) => {
                let text = format!("port {} -> {}", published(was), published(port));
                (Mark::Change, port.instance.clone(), text)
            }
            Some(was) => {
                let text = match (text(was), text(port)) {
                    (a, b) if a == b => {
                        format!("to {} {} -> {}", port.instance, was.to_address, port.to_address)
                    }
                    (a, b) => format!("{a} -> {b}"),
                };
                (Mark::Change, format!("port {}", published(port)), text)
            }
            None => (Mark::Add, format!("port {}", published(port)), text(port)),
        });
    }
    let gone = gone.into_iter();
    lines.extend(
        gone.map(|port| (Mark::Remove, format!("port {}", published(port)), format!("to {}", port.instance))),
    );
    lines
}

/// `8080`, `127.0.0.1:53/udp`.
fn published(port: &PortAt) -> String {
    let protocol = port.protocol.to_string();
    let address = port.address.map(|address| format!("{address}:")).unwrap_or_default();
    let protocol = if protocol == "tcp" { String::new() } else { format!("/{protocol}") };
    format!("{address}{}{protocol}", port.listen)
}

fn sources(port: &PortAt) -> String {
    let from: Vec<String> = port.from.iter().map(ToString::to_string).collect();
    if from.is_empty() { String::new() } else { format!(" from {}", from.join(" ")) }
}

fn permission(desired: &Desired, mark: Mark, allow: &AllowAt, nics: &[Nic]) -> Line {
    let ports: Vec<String> = allow.ports.iter().map(ToString::to_string).collect();
    let text = if ports.is_empty() { "every port and protocol".to_owned() } else { ports.join(" ") };
    let name = format!("allow {} -> {}", side(&allow.from, nics), side(&allow.to, nics));
    line(desired, mark, name, text)
}

fn side(selector: &Selector, nics: &[Nic]) -> String {
    let name = |net: &ipnet::Ipv4Net| {
        let nic = nics.iter().find(|nic| net.prefix_len() == 32 && nic.address == net.addr());
        nic.map_or_else(|| net.to_string(), |nic| nic.instance.clone())
    };
    match selector {
        Selector::Network(name) | Selector::Host(name) => name.clone(),
        Selector::World => "world".to_owned(),
        Selector::Addresses(nets) => {
            let mut names: Vec<String> = nets.iter().map(name).collect();
            names.dedup();
            names.join(",")
        }
    }
}

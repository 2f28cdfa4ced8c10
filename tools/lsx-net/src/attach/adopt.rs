//! Takes over interfaces that an engine has created on a bridge of lsx, and creates again at each start of an instance.

use super::{Attach, fill, nic_mark};
use crate::apply::ask::{ask, silence};
use crate::apply::marked::finish;
use crate::model::GROUP;
use crate::netlink::dump::{self, Link};
use crate::netlink::link::{self, Change};
use crate::netlink::{Device, Socket};
use crate::observe::failure;
use common::{Failure, Kind};

/// Marks it and completes both ends. The mark comes before the group, since a link with the group and without a mark counts
/// as incomplete and is removed.
pub(super) fn adopt(
    socket: &mut Socket,
    wanted: &Attach,
    bridge: &Link,
    inner: &mut Socket,
) -> Result<(), Failure> {
    let mark = nic_mark(wanted);
    let port = dump::link(socket, Device::Name(&wanted.nic.link)).map_err(failure)?;
    let inside = dump::link(inner, Device::Name(&wanted.nic.name)).map_err(failure)?;
    let port = port.filter(|port| port.name == wanted.nic.link);
    let (Some(port), Some(inside)) = (port, inside) else { return Err(missing(wanted)) };
    if let Some(why) = strange(wanted, &mark, bridge, &port, &inside) {
        let message = format!("the interface {} cannot be taken over: {why}", wanted.nic.link);
        return Err(Failure::new(Kind::Failed, "net.stranger", message).hint("rename or remove it"));
    }
    fill(wanted, bridge.mtu, inner)?;
    silence(&port.name)?;
    let change = Change { up: Some(true), mtu: Some(bridge.mtu), ..Change::default() };
    ask(socket, &link::change(Device::Index(port.index), &change))?;
    if !port.altnames.contains(&mark) {
        finish(socket, &port.name, &mark)?;
    }
    let group = Change { group: Some(GROUP), ..Change::default() };
    ask(socket, &link::change(Device::Index(port.index), &group))
}

fn missing(wanted: &Attach) -> Failure {
    let message = format!("the interface {} to take over does not exist", wanted.nic.link);
    Failure::new(Kind::Failed, "net.attach.adopt", message)
        .hint("with `adopt` the engine must have created it; leave `adopt` out to have it created")
}

/// Why these two ends are not the requested interface.
fn strange(wanted: &Attach, mark: &str, bridge: &Link, port: &Link, inside: &Link) -> Option<String> {
    let mac = inside.mac.map(crate::observe::mac).unwrap_or_default();
    let marked = port.altnames.iter().find(|a| a.starts_with("lsx:") && *a != mark);
    if let Some(other) = marked {
        return Some(format!("it is marked {other}"));
    }
    if port.kind != "veth" {
        return Some("it is not a veth".to_owned());
    }
    if port.master != Some(bridge.index) {
        return Some(format!("it is not on {}", bridge.name));
    }
    if port.lower != Some(inside.index) || inside.lower != Some(port.index) {
        return Some(format!("{} in that namespace is not its other end", inside.name));
    }
    (mac != wanted.nic.mac).then(|| format!("its other end is {mac}, not {}", wanted.nic.mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Attach, Link, Link, Link) {
        let wanted = serde_json::json!({"stack": "s", "instance": "a", "pid": 1, "adopt": true, "name": "eth0",
            "network": "lan", "address": "10.0.0.2/24", "mac": "02:00:00:00:00:01", "mtu": 1500, "link": "li1"});
        let bridge = Link { index: 5, name: "lb1".to_owned(), ..Link::default() };
        let veth = |name: &str, index, lower| Link {
            index,
            name: name.to_owned(),
            kind: "veth".to_owned(),
            lower: Some(lower),
            mac: Some([2, 0, 0, 0, 0, 1]),
            ..Link::default()
        };
        let port = Link { master: Some(5), ..veth("li1", 7, 9) };
        (serde_json::from_value(wanted).unwrap(), bridge, port, veth("eth0", 9, 7))
    }

    #[test]
    fn only_the_very_interface_is_taken_over() {
        let (wanted, bridge, port, inside) = ends();
        let mark = nic_mark(&wanted);
        let judge = |port: &Link, inside: &Link| strange(&wanted, &mark, &bridge, port, inside);
        assert_eq!(judge(&port, &inside), None);
        assert_eq!(judge(&Link { altnames: vec![mark.clone()], ..port.clone() }, &inside), None);
        for (port, inside, why) in [
            (
                Link { altnames: vec!["lsx:o:b.eth0:nic".to_owned()], ..port.clone() },
                inside.clone(),
                "marked",
            ),
            (Link { kind: "bridge".to_owned(), ..port.clone() }, inside.clone(), "not a veth"),
            (Link { master: None, ..port.clone() }, inside.clone(), "not on lb1"),
            (Link { lower: Some(3), ..port.clone() }, inside.clone(), "other end"),
            (port.clone(), Link { lower: None, ..inside.clone() }, "other end"),
            (port.clone(), Link { mac: Some([2, 0, 0, 0, 0, 2]), ..inside.clone() }, "not 02:00:00:00:00:01"),
        ] {
            assert!(judge(&port, &inside).is_some_and(|said| said.contains(why)), "{why}");
        }
    }
}

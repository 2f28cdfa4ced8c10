//! Published ports: `10022:22`, `53:53/udp`, `8000-8010:8000-8010`, or a map. A range becomes its ports one by one.

use super::at::{At, string};
use crate::model::PortMap;
use crate::tree::Value;
use crate::value::Protocol;
use crate::value::{Parsed, Wrong, address, cidr_or_address, port, protocol};

/// Maximum number of ports in a range. Each is a rule on the host and a check of `check`.
const MAX_RANGE: u16 = 1000;

/// The ports that an instance publishes.
pub(super) fn published(at: At<'_, '_>) -> Option<Vec<PortMap>> {
    match &at.node.value {
        Value::List(_) => at.several(|at| one(at).unwrap_or_default()),
        _ => one(at),
    }
}

fn one(at: At<'_, '_>) -> Option<Vec<PortMap>> {
    if at.node.text().is_some() {
        return at.parse(short);
    }
    let table = at.table()?;
    let listen = table.need("listen", |at| at.parse(range));
    let to = table.get("to", |at| at.parse(range)).or(listen);
    let map = PortMap {
        listen: 0,
        to: 0,
        protocol: table.get("protocol", |at| at.parse(protocol)).unwrap_or(Protocol::Tcp),
        address: table.get("address", |at| at.parse(address)),
        from: table.get("from", |at| at.many(|at| at.parse(cidr_or_address))).unwrap_or_default(),
        network: table.get("network", string),
    };
    table.finish();
    let (listen, to) = (listen?, to?);
    match each(listen, to, &map) {
        Ok(maps) => Some(maps),
        Err(wrong) => {
            at.wrong(wrong);
            None
        }
    }
}

fn short(text: &str) -> Parsed<Vec<PortMap>> {
    let (ports, name) = text.split_once('/').unwrap_or((text, "tcp"));
    let parts: Vec<&str> = ports.split(':').collect();
    let wrong = |hint: String| Wrong::new(format!("`{text}` is not a published port"), hint);
    let like = || {
        wrong(
            "host port and instance port, like \"10022:22\", or ranges, like \"8000-8010:8000-8010\""
                .to_owned(),
        )
    };
    let (listen, to) = match parts[..] {
        [both] => (both, both),
        [listen, to] => (listen, to),
        [on, listen, to] if address(on).is_ok() => {
            let udp = if name == "udp" { ", protocol: udp" } else { "" };
            return Err(wrong(format!(
                "an address of the host is a key: {{ listen: {listen}, to: {to}, address: {on}{udp} }}"
            )));
        }
        _ => return Err(like()),
    };
    let protocol = protocol(name)?;
    let map = PortMap { listen: 0, to: 0, protocol, address: None, from: Vec::new(), network: None };
    let both = range(listen).and_then(|listen| Ok((listen, range(to)?)));
    let (listen, to) = both.map_err(|why| if text.contains('-') { why } else { like() })?;
    each(listen, to, &map)
}

/// First and last of `8000-8010`; of `80` both are the same.
fn range(text: &str) -> Parsed<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first <= last {
        return Ok((first, last));
    }
    Err(Wrong::new(format!("`{text}` has a first port above its last"), "write it like 8000-8010"))
}

fn each((first, last): (u16, u16), (to, end): (u16, u16), like: &PortMap) -> Parsed<Vec<PortMap>> {
    let many = last - first;
    if many != end - to {
        let message = format!("{first}-{last} and {to}-{end} have different lengths");
        return Err(Wrong::new(message, "each port of the host needs one port of the instance"));
    }
    if many >= MAX_RANGE {
        let message = format!("{} ports in one range, at most {MAX_RANGE}", u32::from(many) + 1);
        return Err(Wrong::new(message, "each is a rule on the host; publish only the ports in use"));
    }
    Ok((0..=many).map(|n| PortMap { listen: first + n, to: to + n, ..like.clone() }).collect())
}

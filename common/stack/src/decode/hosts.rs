//! Hosts: an address alone, or a map.

use super::at::{At, string, truth};
use crate::model::Host;
use crate::value::{Parsed, Wrong, address, login, port, port_spec};
use std::net::Ipv4Addr;

/// The smallest MTU that carries IPv4 in a tunnel (RFC 791: 576, plus 50 for the tunnel), and the largest of any device.
pub const MTU: std::ops::RangeInclusive<u32> = 626..=65_535;

pub(super) fn host(at: At<'_, '_>) -> Option<Host> {
    if at.node.text().is_some() {
        return Some(plain(at.parse(address).unwrap_or(Ipv4Addr::UNSPECIFIED)));
    }
    let Some(table) = at.table() else { return Some(plain(Ipv4Addr::UNSPECIFIED)) };
    let address = table.need("address", |at| at.parse(address));
    let mut host = plain(address.unwrap_or(Ipv4Addr::UNSPECIFIED));
    host.ssh = table.get("ssh", |at| at.parse(ssh));
    host.key = table.get("key", string);
    host.uplink = table.get("uplink", |at| at.parse(device));
    host.mtu = table.get("mtu", |at| at.number(*MTU.start(), *MTU.end()));
    host.firewall = table.get("firewall", |at| at.many(|at| at.parse(port_spec)));
    host.offline = table.get("offline", truth).unwrap_or_default();
    host.local = table.get("local", truth).unwrap_or_default();
    table.finish();
    Some(host)
}

fn plain(address: Ipv4Addr) -> Host {
    Host {
        address,
        ssh: None,
        key: None,
        uplink: None,
        mtu: None,
        firewall: None,
        offline: false,
        local: false,
    }
}

/// `[user@]host[:port]`. It becomes an argument of ssh, so it must not look like a flag.
fn ssh(text: &str) -> Parsed<String> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is not a destination for ssh"),
            "[user@]host[:port], like admin@192.0.2.12:22",
        )
    };
    let (user, rest) = text.split_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
    let (host, digits) = rest.split_once(':').map_or((rest, None), |(host, digits)| (host, Some(digits)));
    if login(host).is_err() || user.is_some_and(|user| login(user).is_err()) {
        return Err(wrong());
    }
    digits.map(port).transpose()?;
    Ok(text.to_owned())
}

/// The name of a network interface (15 bytes, dev_valid_name of the kernel).
pub(super) fn device(text: &str) -> Parsed<String> {
    let good = (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@'))
        && !text.starts_with(['-', '.']);
    if good {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is not a name of a network interface"),
        "at most 15 letters and digits, like eth0",
    ))
}

//! DHCP and network boot.

use crate::decode::at::{At, string, truth};
use crate::decode::near::hint;
use crate::decode::words::source;
use crate::schema::{Address, DurationText, MacText, Many, Named, Source, Word, table};
use crate::value::{Duration, Parsed, Wrong, address, mac};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// DHCP settings of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Dhcp {
    /// Lease time; default: 12h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub lease: Option<Duration>,
    /// A map from an option, `ntp`, `search`, `log`, `smtp`, `wins`, `tz`, `wpad`, or its number, to its value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<String, Many<Word>>>")]
    pub options: BTreeMap<String, Vec<String>>,
    /// A map from a name in DNS to a machine that always gets the same address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Named<Reserved>>")]
    pub reserve: BTreeMap<String, Reserved>,
}

/// A reserved address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Reserved {
    /// Hardware address.
    #[schemars(with = "MacText")]
    pub mac: String,
    /// The address.
    #[schemars(with = "Address")]
    pub address: Ipv4Addr,
}

/// Files for machines that boot by the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Boot {
    /// The volume with the files.
    #[schemars(with = "Word")]
    pub volume: String,
    /// A map from the kind of client, `bios`, `uefi`, `uefi32`, `arm64` or `ipxe`, to a path in the volume of letters,
    /// digits and `-._~+=@:/`, at most 127 bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<String, Source>>")]
    pub files: BTreeMap<String, String>,
    /// A machine that has booted once boots from its own disk afterwards, until `lsx-dns boot` asks it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub once: bool,
}

pub(super) fn dhcp(at: At<'_, '_>) -> Option<Dhcp> {
    let table = at.table()?;
    let dhcp = Dhcp {
        lease: table.get("lease", |at| at.span(60, 31536000)),
        options: table.get("options", options).unwrap_or_default(),
        reserve: table.get("reserve", reserved).unwrap_or_default(),
    };
    table.finish();
    Some(dhcp)
}

pub(super) fn one(at: At<'_, '_>) -> Option<Reserved> {
    let table = at.table()?;
    let one = Reserved {
        mac: table.need("mac", |at| at.parse(mac)).unwrap_or_default(),
        address: table.need("address", |at| at.parse(address)).unwrap_or(Ipv4Addr::UNSPECIFIED),
    };
    table.finish();
    Some(one)
}

pub(crate) fn boot(at: At<'_, '_>) -> Option<Boot> {
    let table = at.table()?;
    let boot = Boot {
        volume: table.need("volume", string).unwrap_or_default(),
        files: table.get("files", files).unwrap_or_default(),
        once: table.get("once", truth).unwrap_or_default(),
    };
    table.finish();
    Some(boot)
}

/// Options by name, with their numbers in RFC 2132, 2610, 3397 and 4833.
pub(crate) const OPTIONS: [&str; 7] = ["log", "ntp", "search", "smtp", "tz", "wins", "wpad"];
/// Kinds of clients.
const MACHINES: [&str; 5] = ["arm64", "bios", "ipxe", "uefi", "uefi32"];

/// A map from networks to their DHCP settings.
pub(super) fn networks(at: At<'_, '_>) -> Option<BTreeMap<String, Dhcp>> {
    at.named(dhcp)
}

fn options(at: At<'_, '_>) -> Option<BTreeMap<String, Vec<String>>> {
    let known = |at: At<'_, '_>, key: &str| {
        let number = key.parse().is_ok_and(|n: u8| (1..255).contains(&n));
        if !number && !OPTIONS.contains(&key) {
            let hint = hint(key, OPTIONS);
            at.key_mistake("stack.dhcp.option", format!("`{key}` is not a DHCP option"), hint);
        }
    };
    at.entries(known, |at| at.many(string))
}

fn reserved(at: At<'_, '_>) -> Option<BTreeMap<String, Reserved>> {
    at.named(one)
}

fn files(at: At<'_, '_>) -> Option<BTreeMap<String, String>> {
    let known = |at: At<'_, '_>, key: &str| {
        if !MACHINES.contains(&key) {
            let message = format!("`{key}` is not a kind of client");
            at.key_mistake("stack.dhcp.machine", message, hint(key, MACHINES));
        }
    };
    at.entries(known, |at| at.parse(within))
}

/// The longest path, which has 128 bytes with a zero at its end in a message (RFC 2131 2).
const PATH: usize = 127;

/// A path that stays in its volume, of characters that mean nothing else to a server or a boot program.
fn within(text: &str) -> Parsed<String> {
    let text = source(text)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+=@:/".contains(&b);
    let stays = !text.starts_with('/') && text.split('/').all(|part| part != "..");
    if !stays || text.len() > PATH || !text.bytes().all(plain) {
        return Err(Wrong::new(
            format!("`{text}` is not a path in the volume"),
            "write it like ipxe/boot.ipxe: letters, digits and -._~+=@:/, at most 127 bytes",
        ));
    }
    Ok(text)
}

//! What machines boot by the network: files by kind, by TFTP and HTTP, and who has booted already.

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What machines boot by the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// The folder whose files are given by TFTP and HTTP.
    pub folder: String,
    /// The file for each kind of client: `bios`, `uefi`, `uefi32`, `arm64` or `ipxe`.
    pub files: BTreeMap<String, String>,
    /// The port of HTTP.
    #[serde(default)]
    pub http: u16,
    /// The networks whose machines get files.
    #[serde(default)]
    pub networks: Vec<Served>,
    /// Whether a machine boots by the network only once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// A network whose machines get files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// Name.
    pub name: String,
    /// The address of the server.
    pub address: Ipv4Addr,
    /// Addresses of the machines.
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    /// The longest packet in bytes.
    pub mtu: u32,
}

/// Architectures of firmware (RFC 4578 2.1, and its registry), their kind in the document, and whether they boot by HTTP.
pub(crate) const MACHINES: [(u16, &str, bool); 9] = [
    (0, "bios", false),
    (6, "uefi32", false),
    (7, "uefi", false),
    (9, "uefi", false),
    (11, "arm64", false),
    (15, "uefi32", true),
    (16, "uefi", true),
    (19, "arm64", true),
    (20, "bios", true),
];
/// The kind of iPXE, which firmware may load first.
pub(crate) const IPXE: &str = "ipxe";

impl Boot {
    /// The URL of a file in a network.
    pub fn url(&self, network: &Served, file: &str) -> String {
        let port = if self.http == 80 { String::new() } else { format!(":{}", self.http) };
        format!("http://{}{port}/{file}", network.address)
    }

    /// What machines are told in a network: kind, architecture, whether by HTTP, and the file or its URL.
    pub(crate) fn told(&self, network: &Served) -> Vec<(&'static str, Option<u16>, bool, String)> {
        let all = MACHINES.into_iter().map(|(number, kind, http)| (kind, Some(number), http));
        let one = |(kind, number, http)| {
            let file = self.files.get(kind)?;
            let file = if http { self.url(network, file) } else { file.clone() };
            Some((kind, number, http, file))
        };
        all.chain([(IPXE, None, false)]).filter_map(one).collect()
    }

    /// The stages of booting whose file this is.
    pub(crate) fn stages(&self, file: &str) -> Vec<Stage> {
        let plain = |path: &str| {
            path.split('/').filter(|part| !["", "."].contains(part)).map(str::to_owned).collect::<Vec<_>>()
        };
        let named = self.files.iter().filter(|(_, path)| plain(path) == plain(file));
        let mut all: Vec<Stage> = named.map(|(kind, _)| Stage::of(kind)).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// A part of booting by the network, with a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// What the firmware loads.
    Firmware,
    /// What iPXE loads.
    Ipxe,
}

impl Stage {
    fn of(kind: &str) -> Stage {
        if kind == IPXE { Stage::Ipxe } else { Stage::Firmware }
    }
}

/// An entry of the journal of `boot.once`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Turn {
    /// A machine got the file of a stage.
    Booted { mac: String, stage: Stage, at: String },
    /// A machine was asked to boot again: so often.
    Asked { mac: String, number: u64, at: String },
}

/// What the journal says of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    /// When it got the file of a stage, since it was asked last.
    pub(crate) booted: BTreeMap<Stage, String>,
    /// How often it was asked to boot again, and when last.
    pub(crate) asked: Option<(u64, String)>,
}

impl Turns {
    /// How often it was asked.
    pub(crate) fn number(&self) -> u64 {
        self.asked.as_ref().map_or(0, |(number, _)| *number)
    }
}

/// One further entry of the journal, for machines by hardware address.
pub(crate) fn enter(all: &mut BTreeMap<String, Turns>, entry: Turn) {
    match entry {
        Turn::Booted { mac, stage, at } => _ = all.entry(mac).or_default().booted.insert(stage, at),
        Turn::Asked { mac, number, at } => {
            _ = all.insert(mac, Turns { booted: BTreeMap::new(), asked: Some((number, at)) });
        }
    }
}

/// The number of [`entries`].
pub(crate) fn needed(all: &BTreeMap<String, Turns>) -> usize {
    all.values().map(|turns| turns.booted.len() + usize::from(turns.asked.is_some())).sum()
}

/// Entries that say the same.
pub(crate) fn entries(all: &BTreeMap<String, Turns>) -> Vec<Turn> {
    let mut entries = Vec::new();
    for (mac, turns) in all {
        let asked = turns.asked.iter().cloned();
        entries.extend(asked.map(|(number, at)| Turn::Asked { mac: mac.clone(), number, at }));
        let booted = turns.booted.iter();
        entries.extend(booted.map(|(stage, at)| Turn::Booted {
            mac: mac.clone(),
            stage: *stage,
            at: at.clone(),
        }));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(entries: &[Turn]) -> BTreeMap<String, Turns> {
        let mut all = BTreeMap::new();
        entries.iter().for_each(|entry| enter(&mut all, entry.clone()));
        all
    }

    #[test]
    fn a_machine_that_was_asked_again_has_not_booted() {
        let booted = |stage, at: &str| Turn::Booted { mac: "a".to_owned(), stage, at: at.to_owned() };
        let asked = |number| Turn::Asked { mac: "a".to_owned(), number, at: "t".to_owned() };
        let all =
            [booted(Stage::Firmware, "1"), booted(Stage::Ipxe, "2"), asked(1), booted(Stage::Ipxe, "3")];
        let of = turns(&all);
        assert_eq!(of["a"].number(), 1);
        assert_eq!(of["a"].booted, BTreeMap::from([(Stage::Ipxe, "3".to_owned())]));
        assert_eq!((turns(&entries(&of)), entries(&of).len()), (of.clone(), needed(&of)));
        assert_eq!(turns(&all[..2])["a"].booted.len(), 2);
    }

    #[test]
    fn a_file_may_be_that_of_two_stages() {
        let file = |kind: &str, path: &str| (kind.to_owned(), path.to_owned());
        let files = BTreeMap::from([file("bios", "a/./b"), file("uefi", "c"), file("ipxe", "a/b")]);
        let boot = Boot { folder: String::new(), files, http: 80, networks: Vec::new(), once: true };
        assert_eq!(boot.stages("a/b"), [Stage::Firmware, Stage::Ipxe]);
        assert_eq!((boot.stages("c"), boot.stages("d")), (vec![Stage::Firmware], vec![]));
    }
}

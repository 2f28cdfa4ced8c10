//! A volume of a host, and how far it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where every tool finds volumes: `VOLUMES/STACK/VOLUME`.
pub const VOLUMES: &str = "/var/lib/lsx/volumes";
/// The records of volumes: `RECORDS/STACK/VOLUME.json`.
pub const RECORDS: &str = "/var/lib/lsx/store";

/// A volume on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Name in `store.volumes`.
    pub name: String,
    /// How it is kept.
    pub driver: Driver,
    /// The folder of its content. Other tools find it at /var/lib/lsx/volumes/STACK/NAME, where it is mounted if it is elsewhere.
    pub path: String,
    /// Maximum size in bytes. The driver `directory` cannot enforce it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// User, or user:group, that its folder belonged to when the document last said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The same of the octal mode of its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether it can be used.
    pub state: State,
    /// The host that it comes from or goes to, while it moves, or that it has moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Seconds since 1970 when the move began, by the clock of the host that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Which clock that was: if its host has started again or its clock was set since, all content is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<String>,
    /// The name of the move, the same on both hosts, which the volume that has arrived keeps until nothing is left of it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_id: Option<String>,
    /// Instances that were stopped for the move, and that are started again if the volume stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,
}

impl Volume {
    /// The same without anything of a move.
    pub fn still(&self) -> Volume {
        let (peer, since, clock, move_id, stopped) = Default::default();
        Volume { peer, since, clock, move_id, stopped, ..self.clone() }
    }

    /// Whether it is all there, mounted or not.
    pub const fn whole(&self) -> bool {
        matches!(self.state, State::Ready | State::Unmounted)
    }

    /// Its key among the objects of a host.
    pub fn key(&self) -> String {
        format!("volume:{}", self.name)
    }

    /// The mark of its folder while it leaves: with it, nobody takes it for the volume.
    pub fn leaving(&self, stack: &str) -> String {
        format!("{stack}/{} moves", self.name)
    }

    /// The file that says what is known of it.
    pub fn record(&self, stack: &str) -> String {
        format!("{RECORDS}/{stack}/{}.json", self.name)
    }

    /// Whether its content is where other tools find it, without a mount.
    pub fn in_place(&self, stack: &str) -> bool {
        self.path == format!("{VOLUMES}/{stack}/{}", self.name)
    }
}

/// How a volume is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A subvolume of btrfs, with a limit.
    Btrfs,
    /// A folder.
    Directory,
}

impl Driver {
    /// Whether it stops writers at the size.
    pub const fn enforces(self) -> bool {
        match self {
            Driver::Btrfs => true,
            Driver::Directory => false,
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Driver::Btrfs => "btrfs",
            Driver::Directory => "directory",
        })
    }
}

/// Whether a volume can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is at its place.
    Ready,
    /// It exists, and is not mounted at its place.
    Unmounted,
    /// A run was killed while it made or removed the volume.
    Unfinished,
    /// It was there, and is not any more.
    Missing,
    /// Something else is where its content should be.
    Foreign,
    /// A copy of the volume of `peer` that is not complete: it is not the volume yet.
    Arriving,
    /// It goes to `peer`: nobody may use it here any more.
    Leaving,
    /// It has moved to `peer`, and is no volume of this host any more: a document that has it here is refused.
    Moved,
}

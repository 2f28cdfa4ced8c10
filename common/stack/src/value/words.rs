//! Values with fixed words: network types, drivers, restart policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Bridges connected by tunnels.
    Overlay,
    /// A sub-interface of a parent, with an address of the parent's network.
    Macvlan,
    /// An 802.1Q tag on a parent.
    Vlan,
}

/// Tunnel type of an overlay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// RFC 7348, over UDP.
    #[default]
    Vxlan,
    /// Ethernet in GRE with a key (RFC 2890).
    Gre,
}

impl Tunnel {
    /// Bytes that the tunnel adds to every packet. VXLAN over IPv4: IP 20, UDP 8, VXLAN 8, Ethernet 14 (RFC 7348 section
    /// 5); GRE with a key: IP 20, GRE 8, Ethernet 14 (RFC 2890).
    pub const fn overhead(self) -> u32 {
        match self {
            Tunnel::Vxlan => 50,
            Tunnel::Gre => 42,
        }
    }
}

/// Switch that connects interfaces on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// A bridge of the kernel.
    #[default]
    Bridge,
    /// Open vSwitch.
    Ovs,
}

/// The engine of an instance.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// An OCI runtime, without a daemon.
    #[default]
    Oci,
    /// LXD.
    Lxd,
    /// Incus.
    Incus,
    /// Docker.
    Docker,
}

/// When a stopped instance is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always, also after a reboot.
    #[default]
    Always,
    /// After a failure.
    OnFailure,
    /// Never.
    No,
}

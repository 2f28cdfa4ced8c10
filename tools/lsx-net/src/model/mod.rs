//! The data of lsx-net: objects of its plans, the intent of a host, and what else it observes.

mod balance;
mod desired;
mod facts;
mod flow;
mod object;
mod planned;
mod weight;
mod whose;

pub use balance::{BALANCE, Backend, Balancer, Health, Server};
pub use desired::{BalancedAt, Desired, Elsewhere, Intent, Leg, Network, Nic, Row, Servers};
pub use facts::{Attached, CertificateState, Chain, Facts, Known, Listener, ReplicaAt, Tunnels};
pub use flow::{Flow, Tuple};
pub use object::{
    ANSWERS, Accept, Bridge, Firewall, Forwarding, IntentFile, LegLink, Neighbours, Object, Port, Route,
    RulesAt, TUNNELS, Tunnel, World,
};
pub use weight::Weight;

/// The mark on a link of lsx: an alternative name `lsx:<stack>:<object>:<role>`, at most 127 bytes, unique in a namespace.
pub fn mark(stack: &str, object: &str, role: &str) -> String {
    format!("lsx:{stack}:{object}:{role}")
}

/// The stack, the object and the role of a mark.
pub fn unmark(altname: &str) -> Option<(&str, &str, &str)> {
    let mut parts = altname.strip_prefix("lsx:")?.splitn(3, ':');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// The group in which every link of lsx is created, `lsx` in ASCII. A link in it without a mark was left incomplete by a
/// power failure: the kernel takes the group in the message that creates a link, but no alternative name.
pub const GROUP: u32 = 0x006c_7378;

/// UDP source ports used only by tunnels: above the ports that Linux assigns to sockets (net.ipv4.ip_local_port_range,
/// 32768 to 60999), and never chosen by lsx's masquerading.
pub const SOURCE_PORTS: (u16, u16) = (61_000, 65_535);

/// The network namespace of a stack's router on a host.
pub fn router(stack: &str) -> String {
    format!("lsx-{stack}")
}

/// The world link's end in the router.
pub const WORLD: &str = "world";

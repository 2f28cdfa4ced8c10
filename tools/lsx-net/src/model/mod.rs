//! What lsx-net wants and sees: the objects of its plans, what a host keeps, what else it reads.

mod desired;
mod flow;
mod object;
mod seen;
mod weight;

pub use desired::{Desired, Elsewhere, Intent, Leg, Network, Nic, Row};
pub use flow::{Flow, Tuple};
pub use object::{
    ANSWERS, Accept, Bridge, Firewall, Forwarding, IntentFile, LegLink, Neighbours, Object, Place, Port,
    Route, TUNNELS, Tunnel, World,
};
pub use seen::{Attached, Chain, Known, Listener, Seen, Tunnels};
pub use weight::Weight;

/// The mark on a link of ours: an alternative name `lsx:<stack>:<object>:<role>`, at most 127 bytes, unique in a namespace.
pub fn mark(stack: &str, object: &str, role: &str) -> String {
    format!("lsx:{stack}:{object}:{role}")
}

/// The stack, the object and the role of a mark.
pub fn unmark(altname: &str) -> Option<(&str, &str, &str)> {
    let mut parts = altname.strip_prefix("lsx:")?.splitn(3, ':');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// The link group that every link of ours is created with, `lsx` in ASCII. A link in it without a mark is one that a
/// power cut left half made: the kernel takes the group in the message that creates a link, but no alternative name.
pub const GROUP: u32 = 0x006c_7378;

/// UDP source ports that tunnels alone send from: above the ports that Linux gives to sockets (net.ipv4.ip_local_port_range,
/// 32768 to 60999), and what a masquerade of ours never picks.
pub const SOURCE_PORTS: (u16, u16) = (61_000, 65_535);

/// The network namespace that holds a stack's L3 legs on a host.
pub fn router(stack: &str) -> String {
    format!("lsx-{stack}")
}

/// The end of the world link inside the router.
pub const WORLD: &str = "world";

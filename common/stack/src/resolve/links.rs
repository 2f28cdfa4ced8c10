//! Names of network interfaces: at most 15 bytes (IFNAMSIZ), with one prefix for all of a kind in a stack.

use super::claim::{Claim, settle};
use super::hash::{Hash, plain};

/// The kind of an interface. Its letter is the second one of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Bridge of a network: `b`.
    Bridge,
    /// Tunnel of a network: `t`.
    Tunnel,
    /// Leg of the stack's router on a network, the bridge's end: `g`.
    Leg,
    /// The host's end of the veth to the stack's router: `w`.
    World,
    /// The host's end of an instance's interface: `i`.
    Instance,
}

impl LinkKind {
    const fn letter(self) -> char {
        match self {
            LinkKind::Bridge => 'b',
            LinkKind::Tunnel => 't',
            LinkKind::Leg => 'g',
            LinkKind::World => 'w',
            LinkKind::Instance => 'i',
        }
    }
}

/// The six bytes that all links of a kind in a stack begin with, such as `lb3f2a`; for the world, the whole name. Firewall
/// rules match on them, so that the rules of one stack do not match links of another.
pub fn link_prefix(stack: &str, kind: LinkKind) -> String {
    format!("l{}{}", kind.letter(), plain(stack, 4))
}

/// The suffixes of the names of networks' links, the same for bridge, tunnel and leg: readable letters, and a hash to make
/// them unique.
pub(super) fn network_tails(stack: &str, networks: &[&str]) -> Vec<String> {
    let claims: Vec<_> = networks.iter().map(|_| Claim::free()).collect();
    let tail = |i: usize, n: u32| {
        let letters: String = networks[i].chars().filter(char::is_ascii_alphanumeric).take(5).collect();
        Some(format!("{letters}{}", Hash::again(&["link", stack, networks[i]], n).hex(4)))
    };
    settle(&claims, |_| true, tail).into_iter().flatten().collect()
}

/// The names of instances' links, one for each (instance, interface).
pub(super) fn instance_links(stack: &str, nics: &[(&str, String)]) -> Vec<String> {
    let prefix = link_prefix(stack, LinkKind::Instance);
    let claims: Vec<_> = nics.iter().map(|_| Claim::free()).collect();
    let name = |i: usize, n: u32| {
        let (instance, nic) = &nics[i];
        Some(format!("{prefix}{}", Hash::again(&["link", stack, instance, nic], n).hex(9)))
    };
    settle(&claims, |_| true, name).into_iter().flatten().collect()
}

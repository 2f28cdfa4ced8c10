//! Names of network interfaces: at most 15 bytes (IFNAMSIZ), and one prefix for all of a kind of a stack.

use super::claim::{Claim, settle};
use super::hash::{Hash, plain};

/// What an interface of ours is. Its letter is the second of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Bridge of a network: `b`.
    Bridge,
    /// Tunnel of a network: `t`.
    Tunnel,
    /// Leg of the L3 namespace on a network, the bridge's end: `g`.
    Leg,
    /// The host's end of the veth into the L3 namespace: `w`.
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

/// The six bytes that every link of a kind of a stack begins with, such as `lb3f2a`; for the world, the whole name.
/// Firewall rules match on them, so one stack's rules never meet another's links.
pub fn link_prefix(stack: &str, kind: LinkKind) -> String {
    format!("l{}{}", kind.letter(), plain(stack, 4))
}

/// The tails of the names of networks' links, the same for bridge, tunnel and leg: letters for people, a hash for difference.
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

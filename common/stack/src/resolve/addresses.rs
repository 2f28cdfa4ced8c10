//! Addresses and MACs on one network: written, kept, or derived by hash.

use super::claim::{Claim, settle};
use super::hash::Hash;
use crate::model::Network;
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A member of a network: a replica by its name, a leg as `host/NAME`.
pub(super) struct Member<'s> {
    pub(super) id: String,
    pub(super) network: &'s str,
    pub(super) written: Option<Ipv4Addr>,
}

/// Values of the lock, by network and member.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) addresses: HashMap<(String, String), Ipv4Addr>,
    pub(super) macs: HashMap<(String, String), String>,
}

/// Addresses of a network that may be derived, in order.
pub(crate) struct Pool {
    first: u32,
    last: u32,
    gateway: Option<Ipv4Addr>,
    dhcp: Option<(u32, u32)>,
}

impl Pool {
    /// `None` for a network without a CIDR: its addresses are not assigned by lsx.
    pub(crate) fn of(network: &Network) -> Option<Pool> {
        let cidr = network.cidr?;
        let (mut first, mut last) = (u32::from(first(cidr)), u32::from(cidr.broadcast()).checked_sub(1)?);
        if let Some(range) = network.range {
            first = first.max(range.first.into());
            last = last.min(range.last.into());
        }
        let dhcp = network.dhcp_range.map(|range| (u32::from(range.first), u32::from(range.last)));
        Some(Pool { first, last, gateway: gateway_address(network), dhcp })
    }

    fn size(&self) -> u32 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// The number of addresses that can be derived.
    pub(crate) fn room(&self) -> u32 {
        let Some((low, high)) = self.dhcp else { return self.size() - self.gateway_inside() };
        let overlap = (high.min(self.last) + 1).saturating_sub(low.max(self.first));
        self.size().saturating_sub(overlap).saturating_sub(self.gateway_inside())
    }

    fn gateway_inside(&self) -> u32 {
        let inside = self.gateway.is_some_and(|gateway| (self.first..=self.last).contains(&gateway.into()));
        u32::from(inside && self.size() > 0)
    }

    /// Whether an address may be derived.
    pub(crate) fn open(&self, address: Ipv4Addr) -> bool {
        let n = u32::from(address);
        (self.first..=self.last).contains(&n)
            && self.gateway != Some(address)
            && !self.dhcp.is_some_and(|(low, high)| (low..=high).contains(&n))
    }

    fn nth(&self, slot: u32, step: u32) -> Option<Ipv4Addr> {
        let size = self.size();
        let at = (u64::from(slot) + u64::from(step)) % u64::from(size.max(1));
        (step < size).then(|| Ipv4Addr::from(self.first + u32::try_from(at).unwrap_or_default()))
    }
}

/// The address of the gateway: the one written, else the first. It is kept free even without a gateway, so that adding one
/// changes no other address.
pub(crate) fn gateway_address(network: &Network) -> Option<Ipv4Addr> {
    network.gateway_address.or_else(|| network.cidr.map(first))
}

/// The first address of a network after the network address.
pub(crate) fn first(cidr: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()).saturating_add(1))
}

/// One address for each member, in their order; `None` if the network is full.
pub(super) fn addresses(
    stack: &str,
    pool: &Pool,
    members: &[Member<'_>],
    kept: &Kept,
) -> Vec<Option<Ipv4Addr>> {
    let claims: Vec<Claim<Ipv4Addr>> = members
        .iter()
        .map(|member| Claim { fixed: member.written, kept: kept.addresses.get(&member.key()).copied() })
        .collect();
    let slots: Vec<u32> = members
        .iter()
        .map(|member| Hash::of(&["address", stack, member.network, &member.id]).below(pool.size()))
        .collect();
    settle(&claims, |&address| pool.open(address), |i, n| pool.nth(slots[i], n))
}

/// One MAC for each member: locally administered, unicast, 40 bits of hash, unique on the network.
pub(super) fn macs(stack: &str, members: &[Member<'_>], kept: &Kept) -> Vec<String> {
    let claims: Vec<Claim<String>> = members
        .iter()
        .map(|member| Claim { fixed: None, kept: kept.macs.get(&member.key()).cloned() })
        .collect();
    let mac = |i: usize, n: u32| {
        let member = &members[i];
        let hash = Hash::again(&["mac", stack, member.network, &member.id], n);
        let b = hash.bytes();
        Some(format!("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4]))
    };
    settle(&claims, |mac| is_ours(mac), mac).into_iter().flatten().collect()
}

/// Whether a MAC has the form of derived ones.
fn is_ours(mac: &str) -> bool {
    let hex = |part: &str| {
        part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    mac.len() == 17 && mac.starts_with("02:") && mac.split(':').all(hex)
}

impl Member<'_> {
    fn key(&self) -> (String, String) {
        (self.network.to_owned(), self.id.clone())
    }
}

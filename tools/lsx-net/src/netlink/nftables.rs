//! State of nftables that can be read without starting nft: its chains, and whether anything has changed.

use std::io;

use super::ask;
use super::wire::{attributes, text};

/// `NETLINK_NETFILTER` (linux/netlink.h).
const PROTOCOL: isize = 12;
/// `NFNL_SUBSYS_NFTABLES << 8` (linux/netfilter/nfnetlink.h).
const NFTABLES: u16 = 10 << 8;
/// `NFT_MSG_GETTABLE`, `NFT_MSG_GETCHAIN`, `NFT_MSG_GETGEN` (linux/netfilter/nf_tables.h).
const TABLES: u16 = NFTABLES | 1;
const CHAINS: u16 = NFTABLES | 4;
const GENERATION: u16 = NFTABLES | 16;
/// `struct nfgenmsg`: any family, version 0, no resource.
const ALL: [u8; 4] = [0; 4];

/// A chain of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// In nft's words: `inet`.
    pub family: &'static str,
    /// Table.
    pub table: String,
    /// Name.
    pub name: String,
    /// The hook of a base chain, as the kernel numbers it.
    pub hook: Option<u32>,
    /// Whether packets that match no rule are dropped.
    pub drops: bool,
    /// The type of a base chain: `filter`.
    pub kind: String,
}

/// All chains of the calling thread's namespace.
///
/// # Errors
/// `PermissionDenied` without `CAP_NET_ADMIN`; errors of a kernel without nftables.
pub(crate) fn chains() -> io::Result<Vec<Chain>> {
    ask::dump(PROTOCOL, CHAINS, &ALL, |object| {
        let (head, rest) = object.split_at_checked(4)?;
        let mut chain = Chain {
            family: family(*head.first()?),
            table: String::new(),
            name: String::new(),
            hook: None,
            drops: false,
            kind: String::new(),
        };
        for (attribute, value) in attributes(rest) {
            match attribute {
                1 => chain.table = text(value),
                3 => chain.name = text(value),
                4 => chain.hook = attributes(value).find(|(k, _)| *k == 1).and_then(|(_, v)| big(v)),
                5 => chain.drops = big(value) == Some(0), // NF_DROP
                7 => chain.kind = text(value),
                _ => (),
            }
        }
        Some(chain)
    })
}

/// A text that stays the same as long as no rules in the calling thread's namespace are changed, and the tables named
/// `table` are the same: the kernel's generation, and each table's handle and use count.
///
/// # Errors
/// As [`chains`].
pub(crate) fn state(table: &str) -> io::Result<String> {
    let generation = ask::get(PROTOCOL, GENERATION, &ALL, |object| {
        attributes(object.get(4..)?).find(|(k, _)| *k == 1).and_then(|(_, v)| big(v))
    })?;
    let mut state = generation.unwrap_or_default().to_string();
    let tables = ask::dump(PROTOCOL, TABLES, &ALL, |object| {
        let (head, rest) = object.split_at_checked(4)?;
        let mut found = (family(*head.first()?), String::new(), 0, 0);
        for (attribute, value) in attributes(rest) {
            match attribute {
                1 => found.1 = text(value),
                3 => found.2 = big(value)?,
                4 => found.3 = big(value.get(4..)?)?,
                _ => (),
            }
        }
        (found.1 == table).then_some(found)
    })?;
    for (family, _, used, handle) in tables {
        state += &format!("-{family}.{handle}.{used}");
    }
    Ok(state)
}

/// `NFPROTO_*` (linux/netfilter.h) in nft's words.
fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "",
    }
}

/// nftables uses network byte order.
fn big(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

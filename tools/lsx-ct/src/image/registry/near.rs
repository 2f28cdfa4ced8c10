//! Where a registry may redirect to. Redirects and token URLs may come from anybody: a public registry must not redirect to
//! this machine, its network or its cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr};

/// How near an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Near {
    /// Public.
    World,
    /// Of a private network (RFC 1918, 6598, 4193), or for benchmarks (RFC 2544).
    Private,
    /// Link-local, such as metadata services.
    Link,
    /// This machine.
    Own,
}

impl Near {
    pub(super) fn of(address: IpAddr) -> Near {
        let v4 = match address {
            IpAddr::V4(v4) => Some(v4),
            // Including IPv4 addresses in IPv6: mapped, and translated (RFC 6052).
            IpAddr::V6(v6) => v6.to_ipv4_mapped().or_else(|| {
                let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else { return None };
                Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }),
        };
        match (address, v4) {
            (_, Some(v4)) => of_v4(v4),
            (IpAddr::V6(v6), None) if v6.is_loopback() || v6.is_unspecified() => Near::Own,
            (IpAddr::V6(v6), None) if v6.is_unique_local() => Near::Private,
            (IpAddr::V6(v6), None) if v6.is_unicast_link_local() || v6.is_multicast() => Near::Link,
            _ => Near::World,
        }
    }

    /// Whether a registry at this distance may redirect there.
    pub(super) fn may_lead(self, to: Near) -> bool {
        to == Near::World || to == self || (self == Near::Own && to == Near::Private)
    }

    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Near::World => "a public address",
            Near::Private => "a private address",
            Near::Link => "a link-local address, as used by metadata services",
            Near::Own => "this machine",
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Near {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let lab = a == 198 && b & 0xfe == 18;
    match () {
        () if a == 0 || address.is_loopback() => Near::Own,
        () if address.is_link_local() || a >= 224 => Near::Link,
        () if address.is_private() || shared || lab => Near::Private,
        () => Near::World,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_as_near_as_it_is_however_it_is_written() {
        let all = [
            (
                Near::Own,
                &["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"][..],
            ),
            (
                Near::Link,
                &[
                    "169.254.169.254",
                    "fe80::1",
                    "224.0.0.1",
                    "255.255.255.255",
                    "::ffff:a9fe:a9fe",
                    "64:ff9b::a9fe:a9fe",
                ],
            ),
            (
                Near::Private,
                &[
                    "10.0.0.1",
                    "172.31.255.1",
                    "192.168.1.1",
                    "100.64.0.1",
                    "198.18.0.11",
                    "198.19.1.1",
                    "fd00::1",
                ],
            ),
            (
                Near::World,
                &["192.0.2.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "9.9.9.9", "2620:fe::fe"],
            ),
        ];
        for (near, addresses) in all {
            for address in addresses {
                assert_eq!(Near::of(address.parse().unwrap()), near, "{address}");
            }
        }
    }

    #[test]
    fn nobody_leads_nearer_than_it_is() {
        use Near::{Link, Own, Private, World};
        let may = |from: Near| [World, Private, Link, Own].map(|to| from.may_lead(to));
        assert_eq!(may(World), [true, false, false, false]);
        assert_eq!(may(Private), [true, true, false, false]);
        assert_eq!(
            may(Own),
            [true, true, false, true],
            "a registry that is tried out here; never the metadata service"
        );
    }
}

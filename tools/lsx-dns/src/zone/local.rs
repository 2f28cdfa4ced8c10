//! Names that are never asked elsewhere: nobody else can know them, and a question would tell others about private networks.

use super::Owner;
use domain::base::Name;
use domain::base::name::ToName;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Domains for private use and special names (RFC 6761, 6762, 7686, 8375, 9476; `internal` is reserved by ICANN).
const DOMAINS: [&str; 8] = ["internal", "localhost", "local", "test", "invalid", "onion", "home.arpa", "alt"];
/// Ranges without global names (RFC 6303 4, RFC 1918, RFC 6598), and that of benchmarks (RFC 2544).
const RANGES: [(Ipv4Addr, u8); 12] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(255, 255, 255, 255), 32),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
];

/// The apex of the empty zone that a name is in, if it is never asked elsewhere.
pub(super) fn apex(name: &Owner) -> Option<Owner> {
    let labels: Vec<String> = name.iter().map(|label| label.to_string().to_ascii_lowercase()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).filter(|label| !label.is_empty()).collect();
    if let [octets @ .., "in-addr", "arpa"] = labels.as_slice() {
        return reverse(octets);
    }
    let apex = DOMAINS.iter().find(|domain| {
        let domain: Vec<&str> = domain.split('.').collect();
        labels.ends_with(&domain)
    })?;
    Name::vec_from_str(apex).ok()
}

/// Of a reverse name, whose labels are octets, the last one first.
fn reverse(octets: &[&str]) -> Option<Owner> {
    let mut bytes = Vec::new();
    for octet in octets.iter().rev().take(4) {
        bytes.push(octet.parse::<u8>().ok()?);
    }
    let known = bytes.len();
    bytes.resize(4, 0);
    let address = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    let (_, prefix) = RANGES.iter().find(|(network, prefix)| {
        let whole = usize::from(*prefix) <= known * 8;
        whole && Ipv4Net::new(*network, *prefix).is_ok_and(|net| net.contains(&address))
    })?;
    let apex = usize::from(prefix.div_ceil(8));
    let mut labels: Vec<String> = address.octets()[..apex].iter().map(u8::to_string).collect();
    labels.reverse();
    let name: Owner = Name::vec_from_str(&format!("{}.in-addr.arpa", labels.join("."))).ok()?;
    Some(name.to_vec())
}

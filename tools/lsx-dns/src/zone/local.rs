//! Names that are never asked elsewhere: nobody else can know them, and a question would tell others about private networks.

use super::Owner;
use crate::model::{PRIVATE, RANGES};
use domain::base::Name;
use domain::base::name::ToName;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The apex of the empty zone that a name is in, if it is never asked elsewhere.
pub(super) fn apex(name: &Owner) -> Option<Owner> {
    let labels: Vec<String> = name.iter().map(|label| label.to_string().to_ascii_lowercase()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).filter(|label| !label.is_empty()).collect();
    if let [octets @ .., "in-addr", "arpa"] = labels.as_slice() {
        return reverse(octets);
    }
    let apex = PRIVATE.iter().find(|domain| {
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

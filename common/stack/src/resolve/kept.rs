//! What tools keep on hosts for others: volumes and certificates.

use crate::model::Stack;
use crate::resolve::place::Replica;
use crate::resolved::{CertificateAt, VolumeAt};
use crate::section::{Bucket, Certificate, For, certificate_folder};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Volumes of `store` on the hosts that have them, by name and host.
pub(super) fn volumes(stack: &Stack, replicas: &[Replica<'_>]) -> Vec<VolumeAt> {
    let mut all = Vec::new();
    for (name, volume) in stack.store.iter().flat_map(|store| &store.volumes) {
        let users = replicas.iter().filter(|replica| replica.instance.volumes.contains_key(name));
        let hosts: BTreeSet<&str> = match &volume.host {
            Some(host) => BTreeSet::from([host.as_str()]),
            None => users.map(|replica| replica.host).chain(bucket_host(stack, name)).collect(),
        };
        all.extend(hosts.into_iter().map(|host| VolumeAt {
            name: name.clone(),
            host: host.to_owned(),
            size: volume.size.map(|size| size.0),
            owner: volume.owner.clone(),
            mode: volume.mode.map(|mode| format!("{mode:04o}")),
        }));
    }
    all
}

/// Certificates on the hosts of their users, by name and host.
pub(super) fn certificates(stack: &Stack, replicas: &[Replica<'_>]) -> Vec<CertificateAt> {
    let mut all = Vec::new();
    for (name, certificate) in stack.pki.iter().flat_map(|pki| &pki.certificates) {
        let mut hosts: BTreeSet<&str> = BTreeSet::new();
        for user in &certificate.users {
            match user {
                For::Balance(to) => hosts.extend(stack.balance.get(to).map(|balance| balance.host.as_str())),
                For::Instance(to) => hosts.extend(replicas.iter().filter(|r| r.of == to).map(|r| r.host)),
                For::Host(host) => hosts.extend([host.as_str()]),
                For::Store => hosts.extend(s3_host(stack)),
            }
        }
        let ended = stack.balance.values().filter(|balance| balance.tls.as_ref() == Some(name));
        hosts.extend(ended.map(|balance| balance.host.as_str()));
        let given = replicas.iter().filter(|r| r.instance.certificate.as_ref() == Some(name));
        hosts.extend(given.map(|replica| replica.host));
        let s3 = stack.store.as_ref().and_then(|store| store.s3.as_ref());
        hosts.extend(s3_host(stack).filter(|_| s3.and_then(|s3| s3.tls.as_ref()) == Some(name)));
        all.extend(hosts.into_iter().map(|host| {
            let (names, addresses) = named(stack, (name, certificate), host);
            let folder = certificate_folder(&stack.name, name);
            CertificateAt { name: name.clone(), host: host.to_owned(), folder, names, addresses }
        }));
    }
    all
}

/// The names and addresses of a certificate on a host: its own, then those at which clients reach the load balancers there that use it.
fn named(
    stack: &Stack,
    (name, certificate): (&String, &Certificate),
    host: &str,
) -> (Vec<String>, Vec<Ipv4Addr>) {
    let (mut names, mut addresses) = (certificate.names.clone(), certificate.addresses.clone());
    for balance in stack.balance.values().filter(|one| one.host == host && one.tls.as_ref() == Some(name)) {
        names.extend(balance.hostname.iter().cloned());
        let at = balance.address.or_else(|| Some(stack.hosts.get(host)?.address));
        addresses.extend(at.filter(|at| permitted(stack, *at)));
    }
    (once(names), once(addresses))
}

/// Whether the authority may issue certificates for an address that nobody has named, as far as the document says.
fn permitted(stack: &Stack, address: Ipv4Addr) -> bool {
    let authority = stack.pki.as_ref().and_then(|pki| pki.authority.as_ref());
    let networks = authority.and_then(|authority| authority.permit.as_ref()).map(|permit| &permit.networks);
    networks.is_none_or(|networks| networks.is_empty() || networks.iter().any(|net| net.contains(&address)))
}

/// The same without repetitions.
fn once<V: Ord + Clone>(mut all: Vec<V>) -> Vec<V> {
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert(one.clone()));
    all
}

/// The host of a bucket with this volume.
fn bucket_host<'s>(stack: &'s Stack, volume: &str) -> Option<&'s str> {
    let buckets = &stack.store.as_ref()?.buckets;
    let has = |(name, bucket): (&String, &Bucket)| bucket.volume.as_ref().unwrap_or(name) == volume;
    s3_host(stack).filter(|_| buckets.iter().any(has))
}

fn s3_host(stack: &Stack) -> Option<&str> {
    stack.store.as_ref()?.s3.as_ref()?.host.as_deref()
}

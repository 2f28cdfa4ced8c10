//! Rules for the authority: it may issue the certificates, and their users exist.

use super::{Authority, Certificate, Challenge, For, Pki};
use crate::rules::Check;
use crate::value::{Duration, is_below};

/// Default lifetime of an authority.
const LIFE: Duration = Duration(730 * 86_400);
/// Default lifetime of a root.
const ROOT_LIFE: Duration = Duration(3650 * 86_400);
/// Default lifetime of a certificate.
const LEAF_LIFE: Duration = Duration(90 * 86_400);

impl<'s> Check<'s> {
    /// The section `pki`.
    pub(crate) fn pki(&mut self) {
        let Some(pki) = &self.stack.pki else { return };
        self.signer(pki);
        let authority = pki.authority.as_ref();
        if let Some(authority) = authority {
            self.authority(authority);
        }
        let most = authority.and_then(|authority| authority.life).unwrap_or(LIFE);
        for (name, certificate) in &pki.certificates {
            self.signed(name, certificate, authority);
            let life = certificate.life.or(pki.life).unwrap_or(LEAF_LIFE);
            if life > most && authority.is_none_or(|authority| authority.existing.is_none()) {
                let message = format!("the lifetime {life} is longer than that of the authority, {most}");
                self.tell(
                    "stack.pki.life",
                    format!("pki.certificates.{name}.life"),
                    message,
                    "write a shorter lifetime",
                );
            }
            for (i, user) in certificate.users.iter().enumerate() {
                self.used(name, user, format!("pki.certificates.{name}.for.{i}"));
            }
        }
        self.asked_by_acme(pki);
        if let Some(ssh) = pki.ssh.as_ref().filter(|ssh| ssh.harden && ssh.users.is_empty()) {
            let path = if ssh.hosts { "pki.ssh.harden" } else { "pki.ssh" };
            let message = "nobody could log in, since no user has a certificate".to_owned();
            self.tell("stack.pki.ssh", path.to_owned(), message, "write users, or leave out harden");
        }
    }

    /// The host of the authority must be known.
    fn signer(&mut self, pki: &'s Pki) {
        match &pki.host {
            Some(host) => drop(self.host(host, || "pki.host".to_owned())),
            None if self.unread("pki.host") || self.stack.signer().is_some() => {}
            None => {
                let message = "the host of the authority is not known".to_owned();
                self.tell("stack.pki.host", "pki".to_owned(), message, "write host: NAME");
            }
        }
    }

    fn authority(&mut self, authority: &'s Authority) {
        let path = |key: &str| format!("pki.authority.{key}");
        if let Some(secret) = &authority.passphrase {
            self.secret(secret, || path("passphrase"));
        }
        if let Some(existing) = &authority.existing {
            if !existing.key.is_empty() {
                self.secret(&existing.key, || path("existing.key"));
            }
            let made = [
                ("name", authority.name.is_some()),
                ("life", authority.life.is_some()),
                ("root", authority.root.is_some()),
                ("permit", authority.permit.is_some()),
            ];
            for (key, _) in made.into_iter().filter(|(_, said)| *said) {
                let message = format!("`{key}` is for a new authority and does not apply to `existing`");
                self.tell("stack.pki.existing", path(key), message, "remove one of them");
            }
        }
        let (life, root) = (authority.life.unwrap_or(LIFE), authority.root.as_ref());
        if let Some(most) = root.map(|root| root.life.unwrap_or(ROOT_LIFE)).filter(|most| life > *most) {
            let message = format!("the lifetime {life} is longer than that of its root, {most}");
            self.tell("stack.pki.life", path("life"), message, "write a shorter lifetime");
        }
    }

    /// The names of a certificate, and whether the authority may issue it.
    fn signed(&mut self, name: &str, certificate: &Certificate, authority: Option<&Authority>) {
        let path = |key: &str| format!("pki.certificates.{name}.{key}");
        let unread = self.unread(&format!("pki.certificates.{name}"));
        let balanced = self.stack.balance.values().any(|balance| balance.tls.as_deref() == Some(name));
        if certificate.names.is_empty() && certificate.addresses.is_empty() && !balanced && !unread {
            let message = "it has no name and no address".to_owned();
            self.tell(
                "stack.pki.empty",
                format!("pki.certificates.{name}"),
                message,
                "write names: [www.internal]",
            );
        }
        let Some(permit) = authority.and_then(|authority| authority.permit.as_ref()) else { return };
        for (i, wanted) in certificate.names.iter().enumerate() {
            let bare = wanted.trim_start_matches("*.");
            if !permit.names.is_empty() && !permit.names.iter().any(|domain| is_below(bare, domain)) {
                let message = format!("the authority may not issue certificates for {wanted}");
                let hint = format!("permitted: {}", permit.names.join(", "));
                self.tell("stack.pki.permit", path(&format!("names.{i}")), message, hint);
            }
        }
        for (i, wanted) in certificate.addresses.iter().enumerate() {
            if !permit.networks.is_empty() && !permit.networks.iter().any(|net| net.contains(wanted)) {
                let message = format!("the authority may not issue certificates for {wanted}");
                self.tell(
                    "stack.pki.permit",
                    path(&format!("addresses.{i}")),
                    message,
                    "add it to permit.networks",
                );
            }
        }
    }

    /// The user of a certificate exists, and refers to the same certificate.
    fn used(&mut self, name: &str, user: &For, at: String) {
        let path = || at.clone();
        let own = match user {
            For::Balance(to) => self.find(&self.stack.balance, "balancer", to, path).map(|b| b.tls.as_ref()),
            For::Instance(to) => self.instance(to, path).map(|i| i.certificate.as_ref()),
            For::Host(to) => {
                self.host(to, path);
                None
            }
            For::Store => {
                let s3 = self.stack.store.as_ref().and_then(|store| store.s3.as_ref());
                if s3.is_none() {
                    let message = "there is no store.s3".to_owned();
                    self.tell("stack.pki.use", at.clone(), message, "write store.s3, or remove this user");
                }
                s3.map(|s3| s3.tls.as_ref())
            }
        };
        if let Some(other) = own.flatten().filter(|other| *other != name) {
            let message = format!("{user} uses another certificate, `{other}`");
            self.tell("stack.pki.use", at, message, "write the same certificate in both places");
        }
    }

    fn asked_by_acme(&mut self, pki: &'s Pki) {
        let Some(acme) = &pki.acme else { return };
        for (i, network) in acme.networks.iter().enumerate() {
            self.routed(network, &format!("pki.acme.networks.{i}"));
        }
        let dns = acme.challenges.iter().position(|challenge| *challenge == Challenge::Dns01);
        if let Some(i) = dns.filter(|_| self.stack.dns.is_none()) {
            let message = "the DNS challenge needs the section dns".to_owned();
            self.tell(
                "stack.pki.acme",
                format!("pki.acme.challenges.{i}"),
                message,
                "write dns: {}, or remove the challenge",
            );
        }
    }
}

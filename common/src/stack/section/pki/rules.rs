//! The authority: what it is asked to sign it can, and who is to use it exists.

use super::{Authority, Certificate, Challenge, For, Pki};
use crate::stack::rules::Check;
use crate::stack::value::{Duration, is_below};

/// How long an authority signs, when it does not say.
const LIFE: Duration = Duration(730 * 86_400);
/// How long a root is good, when it does not say.
const ROOT_LIFE: Duration = Duration(3650 * 86_400);
/// How long a certificate is good, when nothing says.
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
                let message = format!("good for {life}, longer than the authority, {most}");
                self.tell(
                    "stack.pki.life",
                    format!("pki.certificates.{name}.life"),
                    message,
                    "a shorter life",
                );
            }
            for (i, user) in certificate.users.iter().enumerate() {
                self.used(name, user, format!("pki.certificates.{name}.for.{i}"));
            }
        }
        self.asked_by_acme(pki);
        if let Some(ssh) = pki.ssh.as_ref().filter(|ssh| ssh.harden && ssh.users.is_empty()) {
            let path = if ssh.hosts { "pki.ssh.harden" } else { "pki.ssh" };
            let message = "nobody could log in any more, for no user gets a certificate".to_owned();
            self.tell("stack.pki.ssh", path.to_owned(), message, "write users:, or leave harden out");
        }
    }

    /// The host that signs is named, or follows.
    fn signer(&mut self, pki: &'s Pki) {
        match &pki.host {
            Some(host) => drop(self.host(host, || "pki.host".to_owned())),
            None if self.unread("pki.host") || self.stack.signer().is_some() => {}
            None => {
                let message = "nothing says which host signs".to_owned();
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
                let message =
                    format!("`{key}` is of an authority that is made, and `existing` is there already");
                self.tell("stack.pki.existing", path(key), message, "leave one of them out");
            }
        }
        let (life, root) = (authority.life.unwrap_or(LIFE), authority.root.as_ref());
        if let Some(most) = root.map(|root| root.life.unwrap_or(ROOT_LIFE)).filter(|most| life > *most) {
            let message = format!("good for {life}, longer than its root, {most}");
            self.tell("stack.pki.life", path("life"), message, "a shorter life");
        }
    }

    /// What is in a certificate, and whether the authority may sign it.
    fn signed(&mut self, name: &str, certificate: &Certificate, authority: Option<&Authority>) {
        let path = |key: &str| format!("pki.certificates.{name}.{key}");
        let unread = self.unread(&format!("pki.certificates.{name}"));
        if certificate.names.is_empty() && certificate.addresses.is_empty() && !unread {
            let message = "it is for no name and no address".to_owned();
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
                let message = format!("the authority may not sign {wanted}");
                let hint = format!("it may sign {}", permit.names.join(", "));
                self.tell("stack.pki.permit", path(&format!("names.{i}")), message, hint);
            }
        }
        for (i, wanted) in certificate.addresses.iter().enumerate() {
            if !permit.networks.is_empty() && !permit.networks.iter().any(|net| net.contains(wanted)) {
                let message = format!("the authority may not sign {wanted}");
                self.tell(
                    "stack.pki.permit",
                    path(&format!("addresses.{i}")),
                    message,
                    "write it in permit.networks",
                );
            }
        }
    }

    /// Who uses a certificate exists, and means this one.
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
                    let message = "there is no store.s3 to use it".to_owned();
                    self.tell("stack.pki.use", at.clone(), message, "write store.s3, or take it out");
                }
                s3.map(|s3| s3.tls.as_ref())
            }
        };
        if let Some(other) = own.flatten().filter(|other| *other != name) {
            let message = format!("{user} uses the certificate `{other}`");
            self.tell("stack.pki.use", at, message, "name the same at both places");
        }
    }

    fn asked_by_acme(&mut self, pki: &'s Pki) {
        let Some(acme) = &pki.acme else { return };
        for (i, network) in acme.networks.iter().enumerate() {
            self.routed(network, &format!("pki.acme.networks.{i}"));
        }
        let dns = acme.challenges.iter().position(|challenge| *challenge == Challenge::Dns01);
        if let Some(i) = dns.filter(|_| self.stack.dns.is_none()) {
            let message = "there is no dns to prove it by".to_owned();
            self.tell(
                "stack.pki.acme",
                format!("pki.acme.challenges.{i}"),
                message,
                "write dns: {}, or take it out",
            );
        }
    }
}

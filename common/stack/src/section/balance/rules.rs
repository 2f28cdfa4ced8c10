//! Rules for balancers: references exist, and keys do not contradict each other.

use super::{Balance, Mode, Sticky};
use crate::decode::near::hint;
use crate::rules::Check;

/// A contradiction of keys: the key, what is wrong, what to do.
type Wrong = (&'static str, String, &'static str);

impl<'s> Check<'s> {
    /// The balancers, without their ports, which are checked for all users together.
    pub(crate) fn balancers(&mut self) {
        for (name, balance) in &self.stack.balance {
            let path = |key: &str| format!("balance.{name}.{key}");
            // An empty list has been reported by the decoder as missing.
            if !balance.host.is_empty() {
                self.host(&balance.host, || path("host"));
            }
            if !balance.to.is_empty() && self.instance(&balance.to, || path("to")).is_some() {
                self.reachable(&balance.to, balance.network.as_deref(), &path("network"));
                self.shares(name, balance);
            }
            self.ended(name, balance);
            for (key, message, hint) in combined(balance) {
                if !self.unread(&path("mode")) {
                    self.tell("stack.balance.mode", path(key), message, hint);
                }
            }
        }
    }

    /// Replicas named in `weight` and `drain`.
    fn shares(&mut self, name: &str, balance: &'s Balance) {
        let replicas: Vec<String> =
            self.stack.instances.get(&balance.to).map(|to| to.replicas(&balance.to)).unwrap_or_default();
        let drained = balance.drain.iter().enumerate().map(|(i, named)| (format!("drain.{i}"), named));
        let weighted = balance.weight.keys().map(|named| (format!("weight.{named}"), named));
        for (key, named) in drained.chain(weighted).filter(|(_, named)| !replicas.contains(named)) {
            let hint = hint(named, replicas.iter().map(String::as_str));
            let message = format!("instances.{} has no replica `{named}`", balance.to);
            self.tell("stack.balance.replica", format!("balance.{name}.{key}"), message, hint);
        }
        let out = |replica: &String| {
            balance.drain.contains(replica) || balance.weight.get(replica).is_some_and(|&share| share == 0)
        };
        if !replicas.is_empty() && replicas.iter().all(out) {
            let key = if balance.drain.is_empty() { "weight" } else { "drain" };
            let message = format!("no replica of instances.{} is left for new connections", balance.to);
            self.tell(
                "stack.balance.empty",
                format!("balance.{name}.{key}"),
                message,
                "leave at least one replica",
            );
        }
    }

    /// The path of a folder on a host.
    fn host_folder(&mut self, folder: &str, path: impl Fn() -> String) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
        let steps = folder.split('/').any(|part| part == ".." || part == ".");
        if steps || folder.len() > 255 || folder.trim_matches('/').is_empty() || !folder.bytes().all(plain) {
            let message = format!("`{folder}` is not an absolute path of letters, digits and . _ - + @");
            self.tell("stack.balance.folder", path(), message, "like /etc/letsencrypt/live/www.example.org");
        }
    }

    /// The certificate for TLS.
    fn ended(&mut self, name: &str, balance: &'s Balance) {
        let path = || format!("balance.{name}.tls");
        match (&balance.tls, balance.tls_secret()) {
            (_, Some(secret)) => drop(self.find(&self.stack.secrets, "secret", secret, path)),
            (Some(folder), None) if folder.starts_with('/') => self.host_folder(folder, path),
            (Some(tls), None) => self.certificate(tls, path),
            (None, _) => {}
        }
    }
}

/// Keys that contradict each other.
fn combined(balance: &Balance) -> Vec<Wrong> {
    let mode = balance.mode();
    let word = match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Tls => "tls",
    };
    let unable = |what: &str| format!("mode {word} does not support {what}");
    let http = "write mode: http, or remove it";
    let plain = balance.listen.contains(&80) && balance.listen.iter().any(|&port| port != 80);
    let all: [(bool, Wrong); 7] = [
        (
            mode == Mode::Tcp && !balance.hostname.is_empty(),
            ("hostname", unable("host names"), "write mode: http, or mode: tls for names of TLS"),
        ),
        (mode != Mode::Http && balance.path.is_some(), ("path", unable("paths"), http)),
        (
            mode != Mode::Http && balance.sticky == Some(Sticky::Cookie),
            ("sticky", unable("cookies"), "write sticky: source, or mode: http"),
        ),
        (
            mode == Mode::Tls && balance.tls.is_some(),
            (
                "tls",
                "mode tls forwards TLS without decryption, so no certificate is used".to_owned(),
                "remove tls, or write mode: http or mode: tcp to terminate TLS here",
            ),
        ),
        (mode != Mode::Http && balance.redirect, ("redirect", unable("redirects"), http)),
        (
            balance.redirect && balance.tls.is_none(),
            ("redirect", "none of its ports uses TLS".to_owned(), "write tls: CERTIFICATE"),
        ),
        (
            balance.redirect && balance.tls.is_some() && !plain,
            (
                "redirect",
                "requests on port 80 would be redirected to another port".to_owned(),
                "write listen: [80, 443]",
            ),
        ),
    ];
    all.into_iter().filter(|(wrong, _)| *wrong).map(|(_, told)| told).collect()
}

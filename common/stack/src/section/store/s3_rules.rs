//! Rules for object storage: one server, buckets on its host, users with a secret.

use super::Store;
use super::s3::{S3, S3Driver};
use crate::rules::Check;

impl<'s> Check<'s> {
    pub(super) fn objects(&mut self, store: &'s Store) {
        if let Some(s3) = &store.s3 {
            self.server(s3);
        }
        for (name, user) in store.users.iter().filter(|(_, user)| !user.key.is_empty()) {
            self.secret(&user.key, || format!("store.users.{name}.key"));
        }
        for (name, bucket) in &store.buckets {
            let path = |key: &str| format!("store.buckets.{name}.{key}");
            if store.s3.is_none() && !self.unread("store.s3") {
                let message = "there is no store.s3".to_owned();
                self.tell(
                    "stack.store.bucket",
                    format!("store.buckets.{name}"),
                    message,
                    "write s3: { host: NAME }",
                );
            }
            for user in bucket.allow.keys() {
                self.find(&store.users, "user", user, || path(&format!("allow.{user}")));
            }
            let here = store.s3.as_ref().filter(|s3| s3.driver == S3Driver::Embedded);
            let Some(host) = here.and_then(|s3| s3.host.as_deref()) else { continue };
            let volume = bucket.volume.as_deref().unwrap_or(name);
            let at = if bucket.volume.is_some() { path("volume") } else { format!("store.buckets.{name}") };
            self.volume(volume, || at.clone());
            if let Some(home) = self.stack.volume_host(volume).filter(|home| *home != host) {
                let message = format!("the volume is on {home}, but the server is on {host}");
                self.tell("stack.store.bucket", at, message, "both must be on the same host");
            }
        }
    }

    fn server(&mut self, s3: &'s S3) {
        let path = |key: &str| format!("store.s3.{key}");
        for (i, network) in s3.networks.iter().enumerate() {
            self.routed(network, &path(&format!("networks.{i}")));
        }
        if let Some(tls) = &s3.tls {
            self.certificate(tls, || path("tls"));
        }
        if let Some(host) = &s3.host {
            self.host(host, || path("host"));
        }
        let external = s3.driver == S3Driver::External;
        if external && s3.endpoint.is_none() && !self.unread(&path("endpoint")) {
            let message = "it has no endpoint".to_owned();
            self.tell(
                "stack.store.s3",
                "store.s3".to_owned(),
                message,
                "write endpoint: https://s3.example.org",
            );
        }
        if !external && s3.host.is_none() && !self.unread(&path("host")) {
            let message = "it has no host".to_owned();
            self.tell("stack.store.s3", "store.s3".to_owned(), message, "write host: NAME");
        }
        let odd = [
            (external && s3.host.is_some(), "host", "an external server is not on a host of the stack"),
            (external && s3.tls.is_some(), "tls", "an external server has its own certificate"),
            (external && s3.port.is_some(), "port", "the port of an external server is in its endpoint"),
            (!external && s3.endpoint.is_some(), "endpoint", "only an external server has an endpoint"),
        ];
        for (_, key, message) in odd.into_iter().filter(|(odd, _, _)| *odd) {
            self.tell("stack.store.s3", path(key), message.to_owned(), "remove it");
        }
    }
}

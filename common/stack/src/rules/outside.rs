//! Rules for services outside the stack: what they name must exist, and a password is not sent unencrypted.

use super::check::Check;

impl Check<'_> {
    pub(super) fn registries(&mut self) {
        for (host, registry) in &self.stack.registries {
            let path = |field: &str| format!("registries.{host}.{field}");
            if let Some(login) = &registry.login {
                self.secret(login, || path("login"));
            }
            let without = "a registry without TLS";
            if registry.insecure && registry.ca.is_some() {
                let message = format!("{without} has no certificate");
                self.tell("stack.registry.plain", path("ca"), message, "remove ca, or insecure");
            }
            if registry.insecure && registry.login.is_some() {
                let message = format!("the login would be sent unencrypted to {without}");
                let hint = "let the registry use TLS, and name its authority by ca";
                self.tell("stack.registry.plain", path("login"), message, hint);
            }
        }
    }

    pub(super) fn monitoring(&mut self) {
        let Some(monitoring) = &self.stack.monitoring else { return };
        if let Some(network) = &monitoring.network {
            self.network(network, || "monitoring.network".to_owned());
        }
        if let Some(instance) = &monitoring.instance {
            self.instance(instance, || "monitoring.instance".to_owned());
        }
    }
}

//! Rules for monitoring: its network and instance must exist.

use super::check::Check;

impl Check<'_> {
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

//! The metadata service: its networks need a router.

use crate::rules::Check;

impl Check<'_> {
    /// The networks of `meta`.
    pub(crate) fn metadata(&mut self) {
        let Some(meta) = &self.stack.meta else { return };
        for (i, name) in meta.networks.iter().enumerate() {
            self.routed(name, &format!("meta.networks.{i}"));
        }
        if meta.networks.is_empty() && !self.unread("meta.networks") {
            self.serves("meta");
        }
    }
}

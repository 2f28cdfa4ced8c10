//! Names as texts: zone files, hosts files, and configurations of other servers. Pure.

mod bind;
mod dnsmasq;
mod hosts;
mod leasing;
mod private;
mod zone;

pub use bind::bind;
pub use dnsmasq::dnsmasq;
pub use hosts::hosts;
pub(crate) use leasing::{HOSTS, KNOWN, database, is_told, leasing, option_name, told};
use zone::addressed;
pub use zone::zone;

use crate::model::{Config, Entry, View};

/// The records of a view, each once.
fn seen<'c>(config: &'c Config, view: &'c View) -> impl Iterator<Item = &'c Entry> {
    config.records.iter().filter(|entry| view.sees(entry))
}

/// Whether a name is a domain or below it.
fn within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

//! The readiness check of an instance, as its host and the hosts of its dependents make it.

use crate::model::{Gathered, Probe, Ready, cloud};
use common::stack::Instance as Written;

/// The default time that `up` waits for an instance, in milliseconds.
pub(super) const TIMEOUT_MS: u64 = 60_000;
/// The minimum interval between checks, in milliseconds.
const INTERVAL_MS: u64 = 1000;

/// The document's readiness check; else that of cloud-init, if it has user data.
pub(super) fn asked(gathered: &Gathered, written: &Written, name: &str) -> Option<Ready> {
    let cloud = written.cloud_init.is_some().then(cloud::verdict);
    written.ready.as_ref().map(|written| ready(gathered, written, name)).or(cloud)
}

fn ready(gathered: &Gathered, written: &common::stack::Ready, name: &str) -> Ready {
    let ms = |d: Option<common::stack::Duration>, default: u64| d.map_or(default, |d| d.0 * 1000);
    let probe = match (written.tcp, &written.http, &written.https, &written.banner) {
        (Some(port), ..) => Probe::Tcp(port),
        (_, Some(http), ..) => Probe::Http { port: http.port, path: http.path.clone() },
        (_, _, Some(https), _) => Probe::Https {
            port: https.port,
            path: https.path.clone(),
            server_name: written.server_name.clone().unwrap_or_else(|| name.to_owned()),
            ca: written.ca.as_ref().and_then(|file| gathered.authorities.get(file).cloned()),
        },
        (.., Some(banner)) => Probe::Banner { port: banner.port, holds: banner.holds.clone() },
        _ => Probe::Command(written.command.clone()),
    };
    Ready {
        probe,
        timeout_ms: ms(written.timeout, TIMEOUT_MS),
        interval_ms: ms(written.interval, INTERVAL_MS),
    }
}

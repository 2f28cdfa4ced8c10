//! What cloud-init is told beside the document's user data: who the instance is, and that lsx has given it network and name.

use super::{Probe, Ready};
use common::stack::Driver;

/// Where cloud-init looks first (NoCloud).
const SEED: &str = "/var/lib/cloud/seed/nocloud";
/// How long `up` waits for its verdict: it may install packages. Less than the 300 s that a host has for its answer.
const TIMEOUT_MS: u64 = 240_000;
/// Asks for the verdict. `status` alone ends with 0 while it still runs; `--wait` would hold the one who asks.
const STATUS: &str = "command -v cloud-init >/dev/null || { echo 'the image has no cloud-init' >&2; exit 1; }\n\
said=$(cloud-init status --long 2>&1 | tr '\\n' ' ') || :\n\
case $said in *'status: done'*) exit 0;; esac\n\
echo \"cloud-init: $said\" >&2; exit 1";

/// A file of the seed.
pub fn seed(name: &str) -> String {
    format!("{SEED}/{name}")
}

/// What lsx writes itself: name in the seed, and text. LXD tells an instance by itself who it is. The identity holds a digest of the
/// user data: other data are run as on a new machine.
pub fn texts(
    stack: &str,
    name: &str,
    hostname: &str,
    driver: Driver,
    user_data: &str,
) -> Vec<(&'static str, String)> {
    let part: String = user_data.trim_start_matches("sha256:").chars().take(16).collect();
    let who = format!("instance-id: lsx-{stack}-{name}-{part}\nlocal-hostname: {hostname}\n");
    // Some versions read the whole file, some what is below `network`.
    let network = "config: disabled\nnetwork: {config: disabled}\n".to_owned();
    let vendor = "#cloud-config\npreserve_hostname: true\nmanage_etc_hosts: false\n".to_owned();
    let mut all = vec![("network-config", network), ("vendor-data", vendor)];
    all.extend((driver != Driver::Lxd).then_some(("meta-data", who)));
    all
}

/// What such a text is called among the files that were gathered.
pub fn key(name: &str, text: &str) -> String {
    format!("cloud-init {text} of {name}")
}

/// How one knows that it is done, where the document says nothing else.
pub fn verdict() -> Ready {
    let words = ["/bin/sh", "-c", STATUS].map(str::to_owned);
    Ready { probe: Probe::Command(words.into()), timeout_ms: TIMEOUT_MS, interval_ms: 1000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_another_one_when_its_data_are_others() {
        let meta = |data: &str| texts("office", "web-1", "web", Driver::Oci, data).pop().unwrap();
        assert_eq!(meta("sha256:0123456789abcdef0123").0, "meta-data");
        assert_eq!(
            meta("sha256:0123456789abcdef0123").1,
            "instance-id: lsx-office-web-1-0123456789abcdef\nlocal-hostname: web\n"
        );
        assert_ne!(meta("sha256:1"), meta("sha256:2"));
        let lxd = texts("office", "web-1", "web", Driver::Lxd, "sha256:1");
        assert!(lxd.iter().all(|(name, _)| *name != "meta-data"), "LXD tells it");
    }
}

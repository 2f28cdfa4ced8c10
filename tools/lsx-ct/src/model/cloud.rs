//! lsx's own cloud-init data: the identity of the instance, and that its network and name are set by lsx.

use super::{Probe, Ready};
use common::stack::Driver;

/// Where cloud-init looks first (NoCloud).
const SEED: &str = "/var/lib/cloud/seed/nocloud";
/// How long `up` waits for cloud-init, which may install packages. Less than the 300 s that a host has for its answer.
const TIMEOUT_MS: u64 = 240_000;
/// Queries the status: 0 if it is done, 3 if it has failed for good. `status` alone exits with 0 while cloud-init is running;
/// `--wait` would block.
const STATUS: &str = "command -v cloud-init >/dev/null || { echo 'the image has no cloud-init' >&2; exit 3; }\n\
said=$(cloud-init status --long 2>&1 | tr -s '\\n ' ' ' | cut -c1-600) || :\n\
echo \"$said\" >&2\n\
case $said in *'status: done'*) exit 0;; *'status: error'*) exit 3;; esac\n\
exit 1";
/// The exit code of the above for a failure, and the words for it.
const ERROR: i32 = 3;
const FAILED: &str = "cloud-init failed: ";

/// A file of the seed.
pub fn seed(name: &str) -> String {
    format!("{SEED}/{name}")
}

/// The files that lsx writes: name in the seed, and text. LXD provides the identity itself. The identity includes a digest
/// of the user data, so that changed data run as on a new machine.
pub fn texts(
    stack: &str,
    name: &str,
    hostname: &str,
    driver: Driver,
    user_data: &str,
) -> Vec<(&'static str, String)> {
    let part: String = user_data.trim_start_matches("sha256:").chars().take(16).collect();
    let who = format!("instance-id: lsx-{stack}-{name}-{part}\nlocal-hostname: {hostname}\n");
    // Some versions read the whole file, others the part below `network`.
    let network = "config: disabled\nnetwork: {config: disabled}\n".to_owned();
    let vendor = "#cloud-config\npreserve_hostname: true\nmanage_etc_hosts: false\n".to_owned();
    let mut all = vec![("network-config", network), ("vendor-data", vendor)];
    all.extend((driver != Driver::Lxd).then_some(("meta-data", who)));
    all
}

/// The name of such a text among the gathered files.
pub fn key(name: &str, text: &str) -> String {
    format!("cloud-init {text} of {name}")
}

/// The readiness check if the document has none.
pub fn verdict() -> Ready {
    let words = ["/bin/sh", "-c", STATUS].map(str::to_owned);
    Ready { probe: Probe::Command(words.into()), timeout_ms: TIMEOUT_MS, interval_ms: 1000 }
}

/// What the program of [`verdict`] reports when cloud-init is not done; `None` for another readiness check.
pub fn judged(ready: &Ready, code: i32, said: &str) -> Option<String> {
    let words = if code == ERROR { FAILED } else { "cloud-init: " };
    (*ready == verdict()).then(|| format!("{words}{}", said.trim()))
}

/// Whether this is a verdict that will not change.
pub fn failed(ready: Option<&Ready>, why: &str) -> bool {
    ready.is_some_and(|ready| *ready == verdict()) && why.starts_with(FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_cloud_init_is_final() {
        let ready = verdict();
        let error = judged(&ready, 3, "status: error detail: x\n").unwrap();
        assert_eq!(error, "cloud-init failed: status: error detail: x");
        let running = judged(&ready, 1, "status: running").unwrap();
        assert_eq!([&error, &running].map(|why| failed(Some(&ready), why)), [true, false], "{running}");
        let own = Ready { timeout_ms: 1, ..ready };
        assert_eq!(judged(&own, 3, "x"), None);
        assert!(!failed(Some(&own), &error) && !failed(None, &error));
    }

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

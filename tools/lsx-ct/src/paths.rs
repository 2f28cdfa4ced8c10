//! Where lsx-ct keeps what it must find again. /run goes with a reboot, /etc and /var stay.

use common::stack::Driver;
use std::path::PathBuf;

/// All that tools of ours keep over a reboot.
pub(crate) const HOME: &str = "/var/lib/lsx";
/// The image store of this host, shared by all stacks.
pub(crate) const STORE: &str = "/var/lib/lsx/images";
/// What instances without an engine leave on disk: /var/lib/lsx/ct/STACK/INSTANCE.
pub(crate) const DISK: &str = "/var/lib/lsx/ct";
/// What only this boot knows of them: /run/lsx/ct/STACK/INSTANCE.
pub(crate) const RUN: &str = "/run/lsx/ct";
/// Volumes: /var/lib/lsx/volumes/STACK/VOLUME.
pub(crate) const VOLUMES: &str = "/var/lib/lsx/volumes";
/// Secrets: /var/lib/lsx/secrets/STACK/NAME.
pub(crate) const SECRETS: &str = "/var/lib/lsx/secrets";

/// What a host keeps of a stack: intent.
pub(crate) fn intent(stack: &str) -> PathBuf {
    PathBuf::from(format!("/etc/lsx/{stack}/ct.json"))
}

/// A volume of a stack.
pub(crate) fn volume(stack: &str, name: &str) -> PathBuf {
    PathBuf::from(VOLUMES).join(stack).join(name)
}

/// The secrets of a stack, root's alone: /var/lib/lsx/secrets/STACK/NAME.
pub(crate) fn secret(stack: &str, name: &str) -> PathBuf {
    PathBuf::from(SECRETS).join(stack).join(name)
}

/// This program, for LXD or Incus to start it as the first process of applications: /var/lib/lsx/DRIVER/init.
pub(crate) fn init(driver: Driver) -> PathBuf {
    PathBuf::from(HOME).join(crate::plan::driver_word(driver)).join("init")
}

/// Where an instance that an engine runs finds its secrets, in memory: /run/lsx/ct/STACK/INSTANCE/secrets.
pub(crate) fn secrets(stack: &str, instance: &str) -> PathBuf {
    PathBuf::from(RUN).join(stack).join(instance).join("secrets")
}

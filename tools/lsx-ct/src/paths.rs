//! The files of lsx-ct. /run is lost at reboot, /etc and /var are kept.

use common::host::received;
use common::stack::Driver;
use common::tool::Tool;
use std::path::PathBuf;

/// Data of lsx that is kept at reboot.
pub(crate) const HOME: &str = "/var/lib/lsx";
/// The image store of this host, shared by all stacks.
pub(crate) const STORE: &str = "/var/lib/lsx/images";
/// Data on disk of instances with the driver oci: /var/lib/lsx/ct/STACK/INSTANCE.
pub(crate) const DISK: &str = "/var/lib/lsx/ct";
/// Their run-time state: /run/lsx/ct/STACK/INSTANCE.
pub(crate) const RUN: &str = "/run/lsx/ct";
/// Volumes: /var/lib/lsx/volumes/STACK/VOLUME.
pub(crate) const VOLUMES: &str = "/var/lib/lsx/volumes";

/// A volume of a stack.
pub(crate) fn volume(stack: &str, name: &str) -> PathBuf {
    PathBuf::from(VOLUMES).join(stack).join(name)
}

/// A secret of a stack, readable by root only: /var/lib/lsx/secrets/STACK/ct/NAME.
pub(crate) fn secret(stack: &str, name: &str) -> PathBuf {
    received::secret_path(stack, crate::Ct::NAME, name)
}

/// This program, for LXD or Incus to start as the first process of applications: /var/lib/lsx/DRIVER/init.
pub(crate) fn init(driver: Driver) -> PathBuf {
    PathBuf::from(HOME).join(crate::plan::driver_word(driver)).join("init")
}

/// The secrets of an instance of LXD or Incus, in memory: /run/lsx/ct/STACK/INSTANCE/secrets.
pub(crate) fn secrets(stack: &str, instance: &str) -> PathBuf {
    PathBuf::from(RUN).join(stack).join(instance).join("secrets")
}

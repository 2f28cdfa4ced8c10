//! Starts a supervisor so that it outlives its starter: as a transient unit where systemd runs the machine, which also
//! restarts it when it is killed; else as a detached child.

use common::Failure;
use common::host::Program;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Stdio};

/// Exists while systemd runs the machine (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// The unit of an instance. Names of stacks have no dot, so that units are unique.
fn unit(stack: &str, name: &str) -> String {
    format!("lsx-{stack}.{name}.service")
}

/// Starts `argv`; returns the child if it is one of this process.
///
/// # Errors
/// Errors of systemd or the kernel.
pub(crate) fn begin(stack: &str, name: &str, argv: &[String]) -> Result<Option<Child>, Failure> {
    if Path::new(SYSTEMD).exists() {
        let run = Program::new("systemd-run").args(settings(stack, name)).args(["--"]).args(argv);
        return run.run(b"").map(|_| None);
    }
    let program = Program::new(&argv[0]).args(&argv[1..]);
    program.start(Stdio::null(), Stdio::null(), Stdio::null()).map(Some)
}

/// Stops a unit whose supervisor does not end by itself, if there is one.
pub(crate) fn end(stack: &str, name: &str) {
    if Path::new(SYSTEMD).exists() {
        let _ = Program::new("systemctl").args(["kill", "--signal=KILL", &unit(stack, name)]).run(b"");
        let _ = Program::new("systemctl").args(["stop", &unit(stack, name)]).run(b"");
    }
}

/// The settings of a unit (systemd-run(1)): ready when its instance is, restarted when it was killed, but not when it ended
/// by itself, which follows the instance's restart policy.
fn settings(stack: &str, name: &str) -> Vec<String> {
    let properties = [
        "NotifyAccess=main",
        "Restart=on-abnormal",
        "RestartSec=1",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=60",
        "KillMode=mixed",
    ];
    let mut all: Vec<String> =
        ["--quiet", "--collect", "--no-block", "--service-type=notify"].map(str::to_owned).into();
    all.push(format!("--unit={}", unit(stack, name)));
    all.push(format!("--description=instance {name} of stack {stack}"));
    all.extend(properties.map(|p| format!("--property={p}")));
    all
}

/// Tells systemd that the instance is ready (sd_notify(3)).
pub(super) fn ready() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let path = path.to_string_lossy().into_owned();
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let told = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(b"READY=1", &address?));
    if let Err(e) = told {
        tracing::debug!("cannot tell systemd: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_ready_when_its_instance_is() {
        let settings = settings("office", "web-1");
        assert!(settings.contains(&"--unit=lsx-office.web-1.service".to_owned()), "{settings:?}");
        assert!(settings.contains(&"--service-type=notify".to_owned()), "{settings:?}");
    }
}

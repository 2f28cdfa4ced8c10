//! Starts a supervisor so that it outlives its starter: as a transient unit where systemd runs the machine, which also
//! restarts it when it is killed; else as a detached child.

use crate::failure::Failure;
use crate::host::{Program, systemd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Stdio};
use std::time::Duration;

/// What systemd does with the other processes of a unit when its supervisor was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They are killed.
    End,
    /// They go on, for the next supervisor.
    Stay,
}

/// Starts `argv` as the supervisor of a unit; returns the child if it is one of this process.
///
/// # Errors
/// Errors of systemd or the kernel.
pub fn begin(unit: &str, about: &str, others: Others, argv: &[String]) -> Result<Option<Child>, Failure> {
    if systemd() {
        let run = Program::new("systemd-run").args(settings(unit, about, others)).args(["--"]).args(argv);
        return run.run(b"").map(|_| None);
    }
    let program = Program::new(&argv[0]).args(&argv[1..]);
    program.start(Stdio::null(), Stdio::null(), Stdio::null()).map(Some)
}

/// Stops a unit whose supervisor does not end by itself, if there is one.
pub fn end(unit: &str) {
    if systemd() {
        let unit = format!("{unit}.service");
        let _ = Program::new("systemctl").args(["kill", "--signal=KILL", &unit]).run(b"");
        let _ = Program::new("systemctl").args(["stop", &unit]).run(b"");
    }
}

/// The settings of a unit (systemd-run(1)): ready when its program is, restarted when it was killed, but not when it ended
/// by itself, which follows the program's restart policy.
fn settings(unit: &str, about: &str, others: Others) -> Vec<String> {
    let kill = if others == Others::End { "KillMode=mixed" } else { "KillMode=process" };
    let properties = [
        "NotifyAccess=main",
        "Restart=on-abnormal",
        "RestartSec=1",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=60",
        kill,
    ];
    let mut all: Vec<String> =
        ["--quiet", "--collect", "--no-block", "--service-type=notify"].map(str::to_owned).into();
    all.push(format!("--unit={unit}.service"));
    all.push(format!("--description={about}"));
    all.extend(properties.map(|p| format!("--property={p}")));
    all
}

/// Tells systemd that the program is ready (sd_notify(3)).
pub fn ready() {
    tell("READY=1");
}

/// Tells systemd that the end of the program takes up to this long, whatever the unit's own limit is.
pub fn ends_within(time: Duration) {
    tell(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
}

fn tell(what: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let path = path.to_string_lossy().into_owned();
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let told = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(what.as_bytes(), &address?));
    if let Err(e) = told {
        tracing::debug!("cannot tell systemd: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_ready_when_its_program_is() {
        let settings = settings("lsx-office.web-1", "instance web-1 of stack office", Others::End);
        assert!(settings.contains(&"--unit=lsx-office.web-1.service".to_owned()), "{settings:?}");
        assert!(settings.contains(&"--service-type=notify".to_owned()), "{settings:?}");
        assert!(settings.contains(&"--property=KillMode=mixed".to_owned()), "{settings:?}");
    }
}

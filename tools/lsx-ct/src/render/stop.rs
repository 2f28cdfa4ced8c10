//! The stop signals of whole systems.

pub(crate) use common::stack::Signal as Stop;

/// SIGUSR2; busybox init: powers off.
pub(crate) const HALT: Stop = Stop(12);
/// SIGRTMIN+3; systemd(1): halts.
pub(crate) const HALT_SYSTEMD: Stop = Stop::real_time(3);

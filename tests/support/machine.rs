//! A host of a lab that systemd runs, as the first process of new namespaces.

use crate::lab::{Lab, Ran, until};

/// Only the units of lsx are enabled.
const SCRIPT: &str = "
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock /run/systemd/system
    rm -rf /etc/systemd/system/sockets.target.wants
    find /etc/systemd/system/multi-user.target.wants ! -type d ! -name 'lsx-*' -delete 2>/dev/null || :
    for group in /sys/fs/cgroup/*/; do mkdir $group/machine 2>/dev/null || :; echo $$ 2>/dev/null >$group/machine/cgroup.procs || :; done
    exec env -i container=lsx PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --cgroup --mount sh -c '
        umount -l /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
        exec /lib/systemd/systemd --unit=UNIT --log-target=null --show-status=no'";

/// See the first line of this file.
pub struct Machine<'a> {
    lab: &'a Lab,
    host: &'static str,
}

impl<'a> Machine<'a> {
    /// Of a host; it is not booted yet.
    pub fn of(lab: &'a Lab, host: &'static str) -> Machine<'a> {
        Machine { lab, host }
    }

    /// Boots, and waits until systemd reports a state that begins with `says`; empty: any state.
    #[track_caller]
    pub fn boot(&self, unit: &str, says: &str) {
        let script = SCRIPT.replace("UNIT", unit);
        self.lab.exec_with(self.host, &["sh", "-c", "cat >/root/machine"], script.as_bytes()).ok();
        let start =
            "setsid unshare --mount --pid --fork --uts --ipc sh -e /root/machine >/root/machine.log 2>&1 &";
        self.lab.script(self.host, start).ok();
        let mut last = self.within("true");
        let ready = || {
            last = self.within("systemctl is-system-running || true");
            last.stdout.starts_with(says) && last.stdout.trim() != "offline" && !last.stdout.is_empty()
        };
        assert!(
            until(120, ready),
            "{last:?} {}",
            self.lab.script(self.host, "cat /root/machine.log; pgrep -fa systemd").stdout
        );
    }

    /// Runs a script in it; the script has no single quotes.
    pub fn within(&self, text: &str) -> Ran {
        self.lab.script(self.host, &format!("nsenter -t $(pgrep -ox systemd) -m -p sh -ec '{text}'"))
    }

    /// A property of a unit.
    #[track_caller]
    pub fn show(&self, unit: &str, what: &str) -> String {
        self.within(&format!("systemctl show -p {what} --value {unit}")).ok().stdout.trim().to_owned()
    }

    /// Like a power failure.
    pub fn kill(&self) {
        let script = "p=$(pgrep -ox systemd); kill -KILL $p; while test -e /proc/$p; do sleep 0.05; done";
        self.lab.script(self.host, script).ok();
    }

    /// Ends it and removes what it left.
    pub fn end(&self) {
        self.kill();
        let script = "rm /root/machine*; for group in /sys/fs/cgroup/*/machine; do find $group -depth -type d -exec rmdir {} + || :; done";
        self.lab.script(self.host, script).ok();
    }
}

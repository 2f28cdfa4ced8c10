//! A temporary SSH server in its own mount namespace, with keys, users and a replacement of sudo; all below one temporary
//! folder, and removed with it.

use crate::tool;
use common::Failures;
use common::fleet::{Fleet, Options, Target};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One server, and what a fleet needs to reach it.
pub(crate) struct Lab {
    temp: tempfile::TempDir,
    server: Child,
    pub(crate) port: u16,
}

/// Why the tests cannot run here.
pub(crate) fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("they need root".into());
    }
    let programs = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/bin/unshare"];
    programs.iter().find(|p| !Path::new(p).exists()).map(|p| format!("{p} is missing"))
}

pub(crate) fn program(name: &str) -> Command {
    Command::new(name)
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Measures the time of something.
pub(crate) fn timed(what: &dyn Fn()) -> Duration {
    let start = Instant::now();
    what();
    start.elapsed()
}

const SCRIPT: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir /run/sshd
sed "s,^root:.*,root:x:0:0::$1/home:/bin/bash," /etc/passwd > "$1/passwd"
echo "lsxuser:x:61234:61234::$1/home:/bin/sh" >> "$1/passwd"
mount --bind "$1/passwd" /etc/passwd
cp /etc/shadow "$1/shadow"
echo "lsxuser:*:19000:0:99999:7:::" >> "$1/shadow"
mount --bind "$1/shadow" /etc/shadow
mount --bind "$1/local" /usr/local/bin
if [ -e "$1/sudoers" ]; then
    mount --bind "$1/sudoers" /etc/sudoers
elif [ -e /usr/bin/sudo ]; then
    printf '#!/bin/sh\necho "env: sudo: No such file or directory" >&2\nexit 127\n' > "$1/none"
    chmod 755 "$1/none"
    mount --bind "$1/none" /usr/bin/sudo
fi
if [ -e "$1/small" ]; then mount -t tmpfs -o size=2m none "$1/bin"; fi
exec /usr/sbin/sshd -D -e -f "$1/sshd_config" "#;

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab::with(|_| {})
    }

    /// With something prepared in the folder before the server starts.
    pub(crate) fn with(prepare: impl Fn(&Path)) -> Lab {
        let temp = tempfile::Builder::new().prefix("lsx-fleet-").tempdir().unwrap();
        let dir = temp.path().to_owned();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
        for (name, mode) in [("local", 0o755), ("home", 0o755), ("control", 0o700), ("bin", 0o755)] {
            std::fs::create_dir(dir.join(name)).unwrap();
            std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        for key in ["host_key", "user_key", "other_key"] {
            let file = dir.join(key);
            run(program("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let d = dir.display();
        tool::put(dir.join("authorized"), std::fs::read(dir.join("user_key.pub")).unwrap());
        tool::put(
            dir.join("sshd_config"),
            format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {d}/host_key\nAuthorizedKeysFile {d}/authorized\n\
                 PidFile none\nStrictModes no\nPasswordAuthentication no\nUsePAM no\nPermitRootLogin yes\n\
                 KbdInteractiveAuthentication no\nLogLevel VERBOSE\nMaxSessions 20\n"
            ),
        );
        let host = std::fs::read_to_string(dir.join("host_key.pub")).unwrap();
        tool::put(dir.join("known_hosts"), format!("[127.0.0.1]:{port} {host}"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("sshd.log")).unwrap();
        prepare(&dir);
        let mut server = program("unshare");
        server.args(["-m", "sh", "-c", SCRIPT, "sh"]).arg(&dir).stdin(Stdio::null()).stderr(log);
        let lab = Lab { server: server.spawn().unwrap(), temp, port };
        lab.config("user_key", "known_hosts");
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "{}", lab.log());
            tool::pause();
        }
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }

    /// The number of accepted connections so far.
    pub(crate) fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// Writes the SSH configuration.
    pub(crate) fn config(&self, key: &str, known: &str) {
        let (key, known) = (self.path(key), self.path(known));
        let text = format!(
            "Host *\n IdentityFile {}\n IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {}\n",
            key.display(),
            known.display()
        );
        tool::put(self.path("ssh_config"), text);
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            ssh_config: Some(self.path("ssh_config")),
            deadline: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(30),
            persist: Duration::from_secs(60),
            detect_local: false,
            bin_root: self.path("bin"),
            control: Some(self.path("control")),
            set: vec![tool::NAME.to_owned()],
            ..Options::default()
        }
    }

    pub(crate) fn target(&self, name: &str) -> Target {
        self.target_as(name, "root")
    }

    pub(crate) fn target_as(&self, name: &str, user: &str) -> Target {
        target(name, &format!("{user}@127.0.0.1:{}", self.port))
    }

    /// Lets the user without root log in, with a replacement of sudo.
    pub(crate) fn sudo(&self) {
        let file = self.path("local/sudo");
        std::fs::copy("/proc/self/exe", &file).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o4755)).unwrap();
    }

    pub(crate) fn copies(&self) -> Vec<PathBuf> {
        let mut copies: Vec<PathBuf> =
            std::fs::read_dir(self.path("bin")).unwrap().map(|e| e.unwrap().path()).collect();
        copies.sort();
        copies
    }

    /// The copied tool, once it exists.
    pub(crate) fn copy(&self) -> PathBuf {
        self.copies()[0].join(tool::NAME)
    }

    /// A program where the server is: its users, its sudo.
    pub(crate) fn enter(&self) -> Command {
        let mut enter = program("nsenter");
        enter.args(["--mount", "--target", &self.server.id().to_string(), "--"]);
        enter
    }

    /// The sockets of the masters.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.path("control")).unwrap().map(|e| e.unwrap().path());
        files.filter(|p| p.extension().is_none()).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for socket in self.sockets() {
            let mut exit = program("ssh");
            exit.arg("-S").arg(socket).args(["-O", "exit", "x"]).stderr(Stdio::null());
            let _ = exit.status();
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub(crate) fn target(name: &str, ssh: &str) -> Target {
    Target { name: name.into(), ssh: ssh.into(), address: Ipv4Addr::LOCALHOST, key: None, local: false }
}

pub(crate) fn fleet(targets: &[Target], options: Options) -> Fleet {
    Fleet::new(targets.to_vec(), options, Arc::new(tool::local)).unwrap()
}

pub(crate) type Results = BTreeMap<String, Result<Value, Failures>>;

/// One request to each of the named hosts, events dropped.
pub(crate) fn ask(fleet: &mut Fleet, names: &[&str], request: Value) -> Results {
    fleet.each(names.iter().map(|&n| (n.to_owned(), request.clone())).collect(), &mut |_, _| {})
}

/// The code of the only failure.
pub(crate) fn code(result: &Result<Value, Failures>) -> &str {
    let failures = result.as_ref().unwrap_err();
    assert_eq!(failures.0.len(), 1, "{failures}");
    &failures.0[0].code
}

/// Waits for something that should happen soon.
pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        tool::pause();
    }
}

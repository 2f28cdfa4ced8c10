//! Interprets the messages and exit codes of `ssh`, `sudo` and a login shell: the failure, or what to try next.

use super::address::Address;
use super::control::Way;
use super::ended::Ended;
use crate::{Failure, Kind, failure::ProgramFailure};

/// What to do about an `agent` that did not send its hello.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The login is not root: use `sudo -n`.
    Sudo,
    /// What was remembered of this host from an earlier run is wrong.
    Forget,
    /// The tool is missing there, or its file is damaged.
    Upload,
    /// Give up.
    Fail(Box<Failure>),
}

/// Judges an `agent` that ended without a hello. `remembered`: the way came from an earlier run. `shipped`: this run has
/// copied the tool there.
pub(super) fn judge(ended: &Ended, way: &Way, remembered: bool, shipped: bool, address: &Address) -> Verdict {
    let text = ended.text();
    if way.sudo && refused(ended, &text) {
        return if remembered {
            Verdict::Forget
        } else {
            Verdict::Fail(Box::new(sudo(ended, address.user.as_deref())))
        };
    }
    if !way.sudo && ended.code == Some(126) && text.contains("Permission denied") {
        return Verdict::Sudo;
    }
    if !shipped {
        return Verdict::Upload;
    }
    let failure = Failure::new(Kind::Unreachable, "fleet.serve", "the tool cannot be started on the host")
        .program(ran("agent", ended));
    if text.contains("Permission denied") {
        return Verdict::Fail(Box::new(
            failure.hint("check whether the file system of /var/lib is mounted noexec"),
        ));
    }
    Verdict::Fail(Box::new(
        failure
            .hint("check whether the login can run programs (ssh HOST /bin/true) and whether memory is free"),
    ))
}

/// Whether sudo itself refused, and not the program that it runs.
fn refused(ended: &Ended, text: &str) -> bool {
    const WORDS: [&str; 7] = [
        "a password is required",
        "a terminal is required",
        "you must have a tty",
        "is not in the sudoers file",
        "is not allowed to",
        "may not run sudo",
        "no new privileges",
    ];
    let missing = ended.code == Some(127) && text.contains("sudo");
    missing || WORDS.iter().any(|words| text.contains(words))
}

/// The login is not root and may not use sudo.
pub(super) fn sudo(ended: &Ended, user: Option<&str>) -> Failure {
    let user = user.unwrap_or("USER");
    Failure::new(Kind::Denied, "fleet.sudo", "the login is not root and may not use sudo without a password")
        .program(ran("sudo -n", ended))
        .hint(format!("on the host, add with visudo: {user} ALL=(root) NOPASSWD: ALL"))
}

/// Why the connection failed, from ssh's last lines.
pub(super) fn login(address: &Address, text: &str) -> Failure {
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    let host = &address.host;
    let changed = has(&["HOST IDENTIFICATION HAS CHANGED", "no matching host key", "REVOKED HOST KEY"]);
    if has(&["Host key verification failed", "host key is known for"]) && !changed {
        let message = "the host key is new: it is not known on this machine yet";
        let failure = Failure::new(Kind::Unreachable, "fleet.hostkey", message);
        return failure
            .hint(format!("log in once and compare the fingerprint with the host's: ssh {host} true"));
    }
    if changed {
        let failure = Failure::new(
            Kind::Unreachable,
            "fleet.hostkey",
            "the host key has changed, it is not the known one",
        );
        return failure.hint(format!(
            "compare the key, then: `ssh-keygen -R {host}` removes an old one, `ssh-keyscan {host} >> \
             ~/.ssh/known_hosts` adds the new one"
        ));
    }
    if has(&["Permission denied", "Too many authentication failures", "no mutual signature"]) {
        let user = address.user.as_deref().unwrap_or("the login");
        let message = format!("{user} cannot log in: the host accepts none of your keys");
        let hint = format!("test with `ssh -o BatchMode=yes {host} true`; `ssh-copy-id` installs your key");
        return Failure::new(Kind::Denied, "fleet.login", message).hint(hint);
    }
    if has(&[
        "Bad configuration option",
        "terminating, ",
        "Bad owner or permissions",
        "Can't open user config",
    ]) {
        return Failure::new(Kind::Usage, "fleet.config", "ssh refuses its configuration");
    }
    if has(&["Could not resolve"]) {
        return unreachable(address).hint(format!("this machine cannot resolve {host}: write the address"));
    }
    if has(&["Connection refused"]) {
        let message = format!("{host} refuses the ssh connection");
        let failure = Failure::new(Kind::Unreachable, "fleet.unreachable", message);
        return failure.hint("check that an SSH server runs there, on that port");
    }
    if has(&["timed out", "No route", "unreachable"]) {
        return silent(address);
    }
    text.lines().next_back().into_iter().fold(unreachable(address), Failure::because)
}

/// The host cannot be reached; the caller adds the cause.
pub(super) fn unreachable(address: &Address) -> Failure {
    Failure::new(Kind::Unreachable, "fleet.unreachable", format!("{} cannot be reached by ssh", address.host))
}

/// The host is down, or a firewall is in between. One line, since there may be many such hosts.
pub(super) fn silent(address: &Address) -> Failure {
    let message = format!("{} does not answer; --offline HOST skips it", address.host);
    Failure::new(Kind::Unreachable, "fleet.unreachable", message)
}

/// A failed step of copying the tool to the host.
pub(super) fn upload(what: &str, ended: &Ended) -> Failure {
    let text = ended.text();
    if ["No space left", "quota exceeded"].iter().any(|w| text.contains(w)) {
        let failure = Failure::new(Kind::Failed, "fleet.disk", "no disk space for the tool on the host");
        return failure.program(ran(what, ended)).hint("free space below /var/lib/lsx/bin");
    }
    let failure = Failure::new(Kind::Failed, "fleet.upload", "the tool cannot be copied to the host");
    failure.program(ran(what, ended))
}

/// A program on a host, for a failure.
pub(super) fn ran(what: &str, ended: &Ended) -> ProgramFailure {
    let argv = what.split(' ').map(str::to_owned).collect();
    ProgramFailure { argv, status: ended.status(), output: ended.lines.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, text: &str) -> Ended {
        Ended { code: Some(code), lines: vec![text.into()] }
    }

    fn judged(code: i32, text: &str, sudo: bool, shipped: bool) -> String {
        let way = Way { sudo, arch: None };
        let address = Address::parse("admin@h").unwrap();
        match judge(&ended(code, text), &way, false, shipped, &address) {
            Verdict::Fail(failure) => failure.code,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_shells_say() {
        let missing = "env: '/var/lib/lsx/bin/0/lsx-net': No such file or directory";
        assert_eq!(judged(127, missing, false, false), "Upload");
        assert_eq!(judged(126, "env: '/var/lib/lsx/bin/0/lsx-net': Permission denied", false, false), "Sudo");
        assert_eq!(judged(127, "env: 'sudo': No such file or directory", true, false), "fleet.sudo");
        assert_eq!(judged(1, "sudo: a password is required", true, false), "fleet.sudo");
        assert_eq!(judged(1, "sudo: /var/lib/lsx/bin/0/lsx-net: command not found", true, false), "Upload");
        assert_eq!(judged(126, "cannot execute binary file: Exec format error", false, false), "Upload");
        assert_eq!(judged(0, "", false, false), "Upload");
        assert_eq!(judged(0, "", false, true), "fleet.serve");
    }

    #[test]
    fn a_new_key_is_not_called_a_wrong_one() {
        let address = Address::parse("root@h").unwrap();
        let said = |text| login(&address, text).message;
        assert!(said("Host key verification failed.").contains("new"));
        let text = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.";
        assert!(said(text).contains("not the known one"));
    }

    #[test]
    fn a_dead_host_is_one_line() {
        let address = Address::parse("root@h").unwrap();
        for text in ["ssh: connect to host h port 22: Connection timed out", "connect to h: No route to host"]
        {
            let failure = login(&address, text);
            assert_eq!(failure.code, "fleet.unreachable");
            assert_eq!(failure.to_string().lines().count(), 1, "{failure}");
        }
        assert_eq!(login(&address, "kex_exchange: reset").causes, ["kex_exchange: reset"]);
    }

    #[test]
    fn what_ssh_says() {
        let address = Address::parse("root@h").unwrap();
        for (text, code, exit) in [
            ("Host key verification failed.", "fleet.hostkey", 69),
            ("root@h: Permission denied (publickey).", "fleet.login", 77),
            ("ssh: connect to host h port 22: Connection refused", "fleet.unreachable", 69),
            ("ssh: Could not resolve hostname h: Name or service not known", "fleet.unreachable", 69),
            ("x: line 1: Bad configuration option: foo", "fleet.config", 64),
        ] {
            let failure = login(&address, text);
            assert_eq!((failure.code.as_str(), failure.kind.exit()), (code, exit), "{text}");
            assert!(failure.hint.is_some() || code == "fleet.config", "{text}");
            assert!(failure.causes.is_empty(), "{text}");
        }
    }
}

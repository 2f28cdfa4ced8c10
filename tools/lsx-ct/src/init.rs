//! The first process of an application's instance: starts the application, forwards signals, and reaps orphans. An
//! application as first process would ignore signals without a handler (pid_namespaces(7)), and not reap orphans.

use crate::exit::Note;
use crate::render::bundle::Stop;
use crate::signals;
use common::host::Program;
use common::{Failure, Kind};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, setgid, setgroups, setuid};
use signal_hook::consts::{FORBIDDEN, SIGCHLD};
use signal_hook::iterator::Signals;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Stdio;

/// Runs until the application has ended; returns its exit code, or 128 plus the signal that ended it. If `stop` is given, it
/// also records the code, since LXD and Incus do not, unless this signal came: then the application did not end by itself.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn run(stop: Option<&str>, account: Option<&str>, argv: &[String]) -> Result<u8, Failure> {
    let stop = stop.and_then(Stop::parse);
    let who = account.map(Who::read).transpose()?;
    let owner = who.as_ref().map_or((0, 0), |who| (who.user, who.group));
    let mut note = stop.and_then(|_| Note::begin(owner)); // while this is root
    let code = lived(stop, &mut note, who.as_ref(), argv);
    let failed = code.as_ref().err().map(self::code);
    if let (Some(note), Some(code)) = (note, failed.or(code.as_ref().ok().copied())) {
        note.end(code);
    }
    code
}

fn lived(
    stop: Option<Stop>,
    note: &mut Option<Note>,
    who: Option<&Who>,
    argv: &[String],
) -> Result<u8, Failure> {
    who.map_or(Ok(()), Who::become_it)?;
    // 32 and 33 are reserved by the C library (signal(7)).
    let all = (1..32).chain(34..65).filter(|signal| !FORBIDDEN.contains(signal));
    let mut signals = Signals::new(all)
        .map_err(|e| Failure::new(Kind::Failed, "ct.init", format!("cannot handle signals: {e}")))?;
    let (program, args) = argv.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
    let child = Program::bare(program).args(args);
    let child =
        child.start(Stdio::inherit(), Stdio::inherit(), Stdio::inherit()).map_err(|e| unable(program, &e))?;
    let child = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    for signal in signals.forever() {
        if signal != SIGCHLD {
            if stop == Some(Stop(signal)) {
                *note = None;
            }
            signals::send(child, signal);
        } else if let Some(code) = reap(child) {
            return Ok(code);
        }
    }
    Ok(0)
}

/// User and groups of the application, for engines that cannot set them: liblxc 5.0 ignores supplementary groups.
struct Who {
    user: u32,
    group: u32,
    further: Vec<u32>,
}

impl Who {
    /// From USER:GROUP[:GROUP,GROUP...].
    fn read(text: &str) -> Result<Who, Failure> {
        let numbers = text.split([':', ',']).map(str::parse).collect::<Result<Vec<u32>, _>>();
        match numbers.map_err(|e| wrong(text, &e.to_string()))?[..] {
            [user, group, ref further @ ..] => Ok(Who { user, group, further: further.to_vec() }),
            _ => Err(wrong(text, "no group")),
        }
    }

    fn become_it(&self) -> Result<(), Failure> {
        let further: Vec<Gid> = self.further.iter().copied().map(Gid::from_raw).collect();
        give_streams(self.user, self.group);
        setgroups(&further)
            .and_then(|()| setgid(Gid::from_raw(self.group)))
            .and_then(|()| setuid(Uid::from_raw(self.user)))
            .map_err(|e| wrong(&format!("{}:{}", self.user, self.group), &e.to_string()))
    }
}

fn wrong(who: &str, why: &str) -> Failure {
    Failure::new(Kind::Failed, "ct.init", format!("cannot become {who}: {why}"))
}

/// Makes its user the owner of its terminal or pipes, so that programs can open /dev/stdout. If that is not permitted, as for a
/// pipe created outside of the instance, the owner stays.
fn give_streams(user: u32, group: u32) {
    /// Pseudo-terminals (devices.txt of the kernel).
    const TERMINALS: std::ops::Range<u64> = 136..144;
    for number in 0..3 {
        let path = format!("/proc/self/fd/{number}");
        let own = |meta: &std::fs::Metadata| {
            meta.file_type().is_fifo() || TERMINALS.contains(&nix::sys::stat::major(meta.rdev()))
        };
        if std::fs::metadata(&path).is_ok_and(|meta| own(&meta)) {
            let _ = std::os::unix::fs::chown(&path, Some(user), Some(group));
        }
    }
}

/// The exit codes for a program that is missing in the image, and for one that cannot be run, as in a shell.
pub(crate) const MISSING: u8 = 127;
const UNABLE: u8 = 126;

/// Which of the two applies to a failure of [`run`].
pub(crate) fn code(failure: &Failure) -> u8 {
    if failure.code == "ct.init.unable" { UNABLE } else { MISSING }
}

/// This process runs in the instance's root, so a missing program is missing in the image.
fn unable(program: &str, failure: &Failure) -> Failure {
    let there = std::fs::metadata(program).is_ok_and(|m| m.is_file());
    let missing = !(program.contains('/') && there) && failure.message.contains("os error 2");
    let (code, message) = match missing {
        true => ("ct.init.missing", format!("{program} is not in the image")),
        false => ("ct.init.unable", format!("{program} is in the image but cannot be run")),
    };
    let because = failure.message.rsplit_once(": ").map_or(failure.message.as_str(), |(_, why)| why);
    Failure::new(Kind::Failed, code, message).because(because)
}

/// An argument list as one word without blanks: percent-encoded (RFC 3986 2.1), with %00, which no argument can contain, as
/// separator. liblxc splits a command at blanks and does not support quotes (lxccontainer.c, split_init_cmd).
pub(crate) fn encode(argv: &[String]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:=,@+".contains(&b);
    let byte = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    argv.join("\0").bytes().map(byte).collect()
}

/// The input of [`encode`]; any other word is an argument itself.
fn decode(word: &str) -> Vec<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        match digits.filter(|_| *first == b'%').and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The argument list from the flags of the verb.
pub(crate) fn argv(encoded: Option<&str>, argv: &[String]) -> Vec<String> {
    encoded.map_or_else(|| argv.to_vec(), decode)
}

/// Reaps all processes that have ended; returns the exit code if the application is among them.
fn reap(child: Pid) -> Option<u8> {
    let mut ended = None;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        match status {
            WaitStatus::Exited(pid, code) if pid == child => ended = u8::try_from(code & 0xff).ok(),
            WaitStatus::Signaled(pid, signal, _) if pid == child => {
                ended = u8::try_from(128 + signal as i32).ok()
            }
            WaitStatus::StillAlive => break,
            _ => {}
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_list_is_one_word_and_comes_back() {
        let argv = ["/bin/sh", "-c", "echo \"a  b\"\n\techo 100% 'ä' # x", "", " "].map(str::to_owned);
        let word = encode(&argv);
        assert!(word.starts_with("/bin/sh%00-c%00echo%20") && word.is_ascii(), "{word}");
        assert!(!word.contains(char::is_whitespace) && !word.contains(['#', '"', '\'']), "{word}");
        assert_eq!(decode(&word), argv);
    }

    #[test]
    fn a_word_of_somebody_else_stays() {
        assert_eq!(decode("50%"), ["50%"]);
        assert_eq!(decode("%zz%4"), ["%zz%4"]);
    }
}

//! The processes of a host (proc(5)).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A namespace of a process, as the kernel names it.
fn space(process: &str, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()
}

/// The processes in the PID namespace of `process`: a number, or `self`.
pub fn beside(process: &str) -> Vec<i32> {
    let Some(there) = space(process, "pid") else { return Vec::new() };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|number: &i32| space(&number.to_string(), "pid").as_ref() == Some(&there)).collect()
}

/// What `of` returns for processes of this PID namespace, by their number and the words of their command line. Every user, and
/// every instance, can give a process any command line: `trusted` says whether only root can have started it.
pub fn by_line<T>(trusted: fn(i32) -> bool, of: impl Fn(i32, &[&str]) -> Option<T>) -> Vec<T> {
    let one = |process: i32| {
        let line = String::from_utf8(fs::read(format!("/proc/{process}/cmdline")).ok()?).ok()?;
        of(process, &line.trim_end_matches('\0').split('\0').collect::<Vec<_>>())
    };
    beside("self").into_iter().filter(|process| trusted(*process)).filter_map(one).collect()
}

/// The user of a process.
pub fn user(process: i32) -> Option<u32> {
    fs::metadata(format!("/proc/{process}")).ok().map(|folder| folder.uid())
}

/// Whether a process is root's.
pub fn of_root(process: i32) -> bool {
    user(process) == Some(0)
}

/// Whether a process is in a network namespace that only root can have put it into, whoever's it is: another one than this
/// process, in the same user namespace.
pub fn moved_by_root(process: i32) -> bool {
    let number = process.to_string();
    let same = |kind: &str| Some(space(&number, kind)? == space("self", kind)?);
    same("user") == Some(true) && same("net") == Some(false)
}

//! The processes of a host (proc(5)).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A namespace of a process, as the kernel names it.
fn space(process: &str, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()
}

/// Whether a path leads to the file that this process executes, which may have been replaced or removed meanwhile.
pub fn runs_now(program: &Path) -> bool {
    let number = |path: &Path| path.metadata().ok().map(|at| (at.dev(), at.ino()));
    number(program).is_some_and(|there| number(Path::new("/proc/self/exe")) == Some(there))
}

/// All processes that this one sees, also those of instances.
pub(crate) fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes in the PID namespace of `process`: a number, or `self`.
pub fn beside(process: &str) -> Vec<i32> {
    let Some(there) = space(process, "pid") else { return Vec::new() };
    all().filter(|number| space(&number.to_string(), "pid").as_ref() == Some(&there)).collect()
}

/// Whether a process is in the PID namespace of this one.
pub(crate) fn is_beside(process: i32) -> bool {
    let there = space(&process.to_string(), "pid");
    there.is_some() && there == space("self", "pid")
}

/// What `of` returns for processes of this PID namespace, by their number and the words of their command line. Every user, and
/// every instance, can give a process any command line: `trusted` says whether only root can have started it.
pub fn by_line<T>(trusted: fn(i32) -> bool, of: impl Fn(i32, &[&str]) -> Option<T>) -> Vec<T> {
    let one = |process: i32| {
        let found = of(process, &words(process)?.split('\0').collect::<Vec<_>>())?;
        is_beside(process).then_some(found)
    };
    all().filter(|process| trusted(*process)).filter_map(one).collect()
}

/// The words of a process's command line, with NUL between them.
pub fn words(process: i32) -> Option<String> {
    let line = String::from_utf8(fs::read(format!("/proc/{process}/cmdline")).ok()?).ok()?;
    Some(line.trim_end_matches('\0').to_owned())
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

//! The mark that every process of a service has in its environment, by which it is found without any record.

use crate::document;
use crate::host::{limit, process};
use std::fs::File;
use std::ops::Range;

/// The variable that each of its processes has, with the name of the service: `office/note/list`.
pub(super) const MARK: &str = "LSX_SERVICE";
/// The users of services without root: a range without names, between those that systems give to people and to containers.
const USERS: Range<u32> = 0x6c73_0000..0x6c74_0000;

/// The processes of services, and whose they are.
pub(super) fn marked() -> Vec<(i32, String)> {
    process::all().filter_map(|process| Some((process, mark_of(process)?))).collect()
}

/// The service of a process. Anybody can set a variable: only processes that root has started on this host count, and one without root
/// only for the service that it belongs to. Of most processes it reads no more than the user and the variables.
pub(super) fn mark_of(process: i32) -> Option<String> {
    let user = process::user(process)
        .filter(|user| *user == 0 || USERS.contains(user) || process::moved_by_root(process))?;
    let file = File::open(format!("/proc/{process}/environ")).ok()?;
    let all = limit::take(file, limit::STATE).ok()??;
    let mut values =
        all.split(|byte| *byte == 0).filter_map(|one| one.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="));
    let mark = String::from_utf8(values.next()?.to_owned()).ok()?;
    let owned = !USERS.contains(&user) || user == user_of(&mark);
    (owned && process::is_beside(process)).then_some(mark)
}

/// The user that a service has without root, by its mark.
pub(super) fn user_of(mark: &str) -> u32 {
    let digest = document::digest(mark.as_bytes());
    USERS.start + u32::from_str_radix(&digest[..4], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Program, wait};
    use std::process::Stdio;
    use std::time::Duration;

    /// A process of an instance has what variables it likes, and root's number in a namespace of its own.
    #[test]
    fn a_process_of_root_is_found_by_its_mark_and_one_in_another_namespace_is_not() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let mark = format!("office/note/list-{}", std::process::id());
        let program = Program::new("unshare").args(["--pid", "--fork", "--kill-child", "sleep", "600"]);
        let mut outer = program.env(MARK, &mark).start(Stdio::null(), Stdio::null(), Stdio::null()).unwrap();
        let outer_id = i32::try_from(outer.id()).unwrap();
        let inner = || {
            let text = std::fs::read_to_string(format!("/proc/{outer_id}/task/{outer_id}/children")).ok()?;
            let inner = text.trim().parse::<i32>().ok()?;
            std::fs::read_to_string(format!("/proc/{inner}/comm"))
                .ok()
                .filter(|name| name == "sleep\n")
                .map(|_| inner)
        };
        assert!(wait::until(Duration::from_secs(60), Duration::from_millis(5), || inner().is_some()));
        let inner = inner().unwrap();
        assert_eq!((mark_of(outer_id), mark_of(inner)), (Some(mark.clone()), None));
        let found: Vec<i32> =
            marked().into_iter().filter(|(_, of)| *of == mark).map(|(process, _)| process).collect();
        assert_eq!(found, [outer_id]);
        outer.kill().unwrap();
        outer.wait().unwrap();
    }
}

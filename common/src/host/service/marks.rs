//! The mark that every process of a service has in its environment, by which it is found without any record.

use crate::document;
use crate::host::process;
use std::ops::Range;

/// The variable that each of its processes has, with the name of the service: `office/note/list`.
pub(super) const MARK: &str = "LSX_SERVICE";
/// The users of services without root: a range without names, between those that systems give to people and to containers.
const USERS: Range<u32> = 0x6c73_0000..0x6c74_0000;

/// The processes of services, and whose they are. Anybody can set a variable: only processes that root has started count, and one
/// without root only for the service that it belongs to.
pub(super) fn marked() -> Vec<(i32, String)> {
    let of = |process: i32| {
        let user = process::user(process)
            .filter(|user| *user == 0 || USERS.contains(user) || process::moved_by_root(process))?;
        let all = std::fs::read(format!("/proc/{process}/environ")).ok()?;
        let text = String::from_utf8_lossy(&all);
        let mut values = text.split('\0').filter_map(|one| one.strip_prefix(MARK)?.strip_prefix('='));
        let mark = values.next().filter(|mark| !USERS.contains(&user) || user == user_of(mark))?;
        Some((process, mark.to_owned()))
    };
    process::beside("self").into_iter().filter_map(of).collect()
}

/// The user that a service has without root, by its mark.
pub(super) fn user_of(mark: &str) -> u32 {
    let digest = document::digest(mark.as_bytes());
    USERS.start + u32::from_str_radix(&digest[..4], 16).unwrap_or_default()
}

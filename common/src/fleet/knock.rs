//! Detects a host that does not answer, by the kernel's state of ssh's connection, long before ssh itself times out.

use crate::host::limit;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// SYN_SENT in /proc/net/tcp (proc(5)): the first packet was sent, without an answer.
const SYN_SENT: &str = "02";

/// Returns when the first packets of a process's connection have been unanswered for this time; otherwise never.
pub(super) async fn unanswered(process: Option<u32>, patience: Duration) {
    tokio::time::sleep(patience).await;
    if !process.is_some_and(|id| knocks(Path::new(&format!("/proc/{id}")))) {
        std::future::pending::<()>().await;
    }
}

/// Whether a process waits for the answer to a new connection.
fn knocks(process: &Path) -> bool {
    let sockets: Vec<String> = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|name| name.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    ["net/tcp", "net/tcp6"].iter().any(|table| {
        let text = fs::File::open(process.join(table)).and_then(|file| limit::last(file, limit::OUTPUT));
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        text.lines().filter_map(knocking).any(|inode| sockets.iter().any(|socket| socket == inode))
    })
}

/// The inode of a line's socket, if it is in this state.
fn knocking(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.nth(3)? == SYN_SENT).then_some(())?;
    words.nth(5)
}

#[cfg(test)]
mod tests {
    use super::knocking;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "   1: 0100007F:B0A2 0B0012C6:0016 02 00000001:00000000 01:00000061 00000001     0        0 93417 2 0000";
        assert_eq!(knocking(line), Some("93417"));
        assert_eq!(knocking(&line.replace(" 02 0", " 01 0")), None);
        assert_eq!(knocking("  sl  local_address rem_address   st tx_queue rx_queue"), None);
    }
}

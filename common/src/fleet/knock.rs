//! Detects a host that does not answer, by the kernel's state of ssh's connection, long before ssh itself times out.

use crate::host::limit;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// SYN_SENT in /proc/net/tcp (proc(5)): the first packet was sent, without an answer.
const SYN_SENT: &str = "02";

/// How long to wait for the answer to the first packets.
#[derive(Clone, Copy)]
pub(super) struct AnswerLimit {
    /// The time; ssh may need some of it before it connects.
    pub(super) time: Duration,
    /// So often the packet must have been repeated.
    pub(super) repeated: u32,
}

/// The interval of checks.
const LOOK: Duration = Duration::from_millis(250);

/// Returns when the first packets of a process's connection have been unanswered for this time, and the last one for at least
/// two checks; otherwise never.
pub(super) async fn unanswered(process: Option<u32>, answer: AnswerLimit) {
    let Some(process) = process.map(|id| PathBuf::from(format!("/proc/{id}"))) else {
        return std::future::pending().await;
    };
    let (begin, mut connects, mut seen) = (Instant::now(), false, 0);
    tokio::time::sleep(answer.time / 2).await;
    loop {
        match repeated(&process) {
            None if connects => return std::future::pending().await,
            None => {} // ssh has not begun yet
            Some(times) => {
                connects = true;
                seen += u32::from(times >= answer.repeated);
            }
        }
        if seen > 1 && begin.elapsed() >= answer.time {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// If a process waits for the answer to a new connection: how often the first packet was repeated.
fn repeated(process: &Path) -> Option<u32> {
    let sockets: Vec<String> = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|name| name.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    ["net/tcp", "net/tcp6"].iter().find_map(|table| {
        let text = fs::File::open(process.join(table)).and_then(|file| limit::last(file, limit::OUTPUT));
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let mut all = text.lines().filter_map(knocking);
        all.find_map(|(times, inode)| sockets.iter().any(|socket| socket == inode).then_some(times))
    })
}

/// The number of repeated packets and the inode of a line's socket, if it is in this state.
fn knocking(line: &str) -> Option<(u32, &str)> {
    let mut words = line.split_whitespace();
    (words.nth(3)? == SYN_SENT).then_some(())?;
    let times = u32::from_str_radix(words.nth(2)?, 16).ok()?;
    Some((times, words.nth(2)?))
}

#[cfg(test)]
mod tests {
    use super::knocking;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "   1: 0100007F:B0A2 0B0012C6:0016 02 00000001:00000000 01:00000061 00000001     0        0 93417 2 0000";
        assert_eq!(knocking(line), Some((1, "93417")));
        assert_eq!(knocking(&line.replace(" 02 0", " 01 0")), None);
        assert_eq!(knocking("  sl  local_address rem_address   st tx_queue rx_queue"), None);
    }
}

//! The time by which the age of data is judged. Files are dated by a clock that may jump, as when a machine without its own
//! clock asks the network for the time: then data of this minute seems to be of last year. So the store notes that clock beside
//! one that cannot jump.

use common::host::file::{self, Mode};
use common::log;
use nix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file in the store. It has two notes: the newer one, and the one before that.
const NAME: &str = "clock";
/// A note is followed by another one after this time. So of data younger than this, a note from before it is kept.
pub(super) const GRACE: Duration = Duration::from_secs(3600);

/// A moment by both clocks, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moment {
    /// The boot, in which `up` counts.
    boot: String,
    up: u64,
    /// Since 1970.
    at: u64,
}

impl Moment {
    fn now() -> Option<Moment> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let at = log::clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Counts while the machine sleeps, too.
        let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        Some(Moment { boot: boot.trim().to_owned(), up: u64::try_from(up.tv_sec()).ok()?, at: at.as_secs() })
    }

    fn parse(line: &str) -> Option<Moment> {
        let mut words = line.split_whitespace();
        let boot = words.next()?.to_owned();
        Some(Moment { boot, up: words.next()?.parse().ok()?, at: words.next()?.parse().ok()? })
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(NAME)
}

/// What was noted in this boot, the newer one first. A damaged note counts as none.
fn noted(root: &Path, now: &Moment) -> Vec<Moment> {
    let text = file::read(&path(root)).ok().flatten().unwrap_or_default();
    text.lines()
        .filter_map(Moment::parse)
        .filter(|noted| noted.boot == now.boot && noted.up <= now.up)
        .collect()
}

/// Notes the time when data is added, if the last note is not of this hour. Without a note the clock is used.
pub(super) fn note(root: &Path) {
    let Some(now) = Moment::now() else { return };
    let before = noted(root, &now);
    if before.first().is_some_and(|last| now.up - last.up < GRACE.as_secs()) {
        return;
    }
    let line = |moment: &Moment| format!("{} {:>12} {:>12}\n", moment.boot, moment.up, moment.at);
    let text: String = std::iter::once(&now).chain(before.first()).map(line).collect();
    let _ = file::write(&path(root), text.as_bytes(), Mode::Private);
}

/// The time: the earliest by the clock and by the notes, so that nothing seems older than it is.
pub(super) fn now(root: &Path) -> SystemTime {
    let Some(now) = Moment::now() else { return SystemTime::UNIX_EPOCH };
    SystemTime::UNIX_EPOCH + Duration::from_secs(earliest(&now, &noted(root, &now)))
}

fn earliest(now: &Moment, noted: &[Moment]) -> u64 {
    let by = |noted: &Moment| noted.at.saturating_add(now.up.saturating_sub(noted.up));
    noted.iter().map(by).chain([now.at]).min().unwrap_or(now.at)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn moment(up: u64, at: u64) -> Moment {
        Moment { boot: "b".to_owned(), up, at }
    }

    #[test]
    fn nothing_is_older_than_both_clocks_say() {
        let cases = [
            // A clock that goes right, and one that jumped forward, back, and there and back.
            (moment(500, 10_500), vec![moment(100, 10_100)], 10_500),
            (moment(500, 90_500), vec![moment(100, 10_100)], 10_500),
            (moment(500, 5_500), vec![moment(100, 10_100)], 5_500),
            (moment(500, 10_500), vec![moment(300, 90_300), moment(100, 10_100)], 10_500),
            // Only the older note is from before the jump.
            (moment(500, 90_500), vec![moment(300, 90_300), moment(100, 10_100)], 10_500),
            (moment(500, 90_500), vec![], 90_500),
        ];
        for (now, noted, wanted) in cases {
            assert_eq!(earliest(&now, &noted), wanted, "{now:?} {noted:?}");
        }
    }

    #[test]
    fn of_data_of_the_last_hour_there_is_a_note_from_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let real = Moment::now().unwrap();
        let (own, other) = (real.boot.clone(), "another-boot");
        let write = |lines: &[(&str, u64, u64)]| {
            let all: String = lines.iter().map(|(boot, up, at)| format!("{boot} {up} {at}\n")).collect();
            std::fs::write(path(folder.path()), all).unwrap();
        };
        let read = || noted(folder.path(), &Moment::now().unwrap());
        note(folder.path());
        let first = read();
        assert_eq!(first.len(), 1);
        note(folder.path());
        assert_eq!(read(), first, "once an hour");
        // What was noted in another boot, or later than now, is no note.
        write(&[(other, 1, 1), (&own, real.up + HOUR, 1)]);
        assert_eq!(read(), []);
        note(folder.path());
        assert_eq!(read().len(), 1);
        if real.up > 2 * HOUR {
            write(&[(&own, real.up - HOUR - 1, 7), (&own, 0, 8)]);
            note(folder.path());
            let both: Vec<u64> = read().iter().map(|noted| noted.at).collect();
            assert!(both.len() == 2 && both[0] >= real.at && both[1] == 7, "{both:?}");
        }
        std::fs::write(path(folder.path()), b"\xff damaged\nx 1\n\n").unwrap();
        assert_eq!(read(), []);
        assert!(now(folder.path()) <= std::time::SystemTime::now());
    }
}

//! The jobs of a tool that are run from time to time: when each was last started, so that missed runs are made up by one, and
//! a clock that jumps causes no more than one.

use super::file::{self, Mode};
use super::lock::LOCKED;
use super::{Lock, limit};
use crate::document;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

/// How long the removal of a timer waits for the end of a job.
const WAIT: Duration = Duration::from_secs(5);

/// Something that a tool does from time to time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name, unique in the stack's part of this tool.
    pub name: String,
    /// The time from one start to the next. It is compared each minute.
    pub every: Duration,
}

/// The last run of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// When it was started, in seconds since 1970.
    began_s: u64,
    /// Whether it came to its end. Otherwise its process or the machine was killed.
    #[serde(default)]
    ended: bool,
    /// Whether it repeats a run that was killed.
    #[serde(default)]
    again: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// The last runs of all jobs, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Runs {
    schema: String,
    jobs: BTreeMap<String, Run>,
}

/// What to do about a job.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// Nothing.
    No,
    /// The clock was set back to before the last run: the job now counts as started at the current time.
    Reset,
    /// Do it; whether that repeats a run that was killed.
    Yes { again: bool },
}

/// A run that was killed is repeated once; what was missed while the machine was off is made up by one run.
fn due(last: Option<&Run>, every_s: u64, now_s: u64) -> Due {
    match last {
        None => Due::Yes { again: false },
        Some(last) if last.began_s > now_s => Due::Reset,
        Some(last) if now_s - last.began_s >= every_s => Due::Yes { again: false },
        Some(last) if !last.ended && !last.again => Due::Yes { again: true },
        Some(_) => Due::No,
    }
}

/// The timer of one tool and stack, held by one process at a time.
pub(crate) struct Timer {
    path: PathBuf,
    tool: &'static str,
    _lock: Lock,
}

fn path(stack: &str, tool: &str) -> PathBuf {
    Path::new(file::TIMERS).join(stack).join(format!("{tool}.json"))
}

fn lock(stack: &str, tool: &str, wait: Duration) -> Result<Lock, Failure> {
    Lock::wait(stack, &format!("{tool}-timer"), wait, &AtomicBool::new(false))
}

impl Timer {
    /// None while another run has it.
    ///
    /// # Errors
    /// If the lock cannot be taken for another reason.
    pub(crate) fn take(stack: &str, tool: &'static str) -> Result<Option<Timer>, Failure> {
        match lock(stack, tool, Duration::ZERO) {
            Ok(lock) => Ok(Some(Timer { path: path(stack, tool), tool, _lock: lock })),
            Err(failure) if failure.code == LOCKED => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Runs the jobs that are due, one after the other. A failed one is run again at its next time. Without a record of its
    /// start no job is run: it would be due each minute.
    ///
    /// # Errors
    /// The failures of the jobs; errors of the file system.
    pub(crate) fn run(
        &self,
        jobs: &[Job],
        now: &dyn Fn() -> SystemTime,
        job: &dyn Fn(&Job) -> Result<(), Failure>,
    ) -> Vec<Failure> {
        let (mut runs, mut failures) = (self.read(jobs), Vec::new());
        for one in jobs {
            let began_s = seconds(now());
            let again = match due(runs.jobs.get(&one.name), one.every.as_secs(), began_s) {
                Due::No => continue,
                Due::Reset => {
                    let run = Run { began_s, ended: true, ..Run::default() };
                    failures.extend(self.note(&mut runs, one, run).err());
                    continue;
                }
                Due::Yes { again } => again,
            };
            let mut run = Run { began_s, again, ..Run::default() };
            if let Err(failure) = self.note(&mut runs, one, run.clone()) {
                failures.push(failure);
                continue;
            }
            let failure = job(one).err();
            (run.ended, run.failed) = (true, failure.as_ref().map(|failure| failure.message.clone()));
            failures.extend(failure);
            failures.extend(self.note(&mut runs, one, run).err());
        }
        failures
    }

    /// The runs of the jobs that still exist. A damaged file counts as none.
    fn read(&self, jobs: &[Job]) -> Runs {
        let mut runs = read(&self.path);
        runs.jobs.retain(|name, _| jobs.iter().any(|job| job.name == *name));
        runs
    }

    fn note(&self, runs: &mut Runs, job: &Job, run: Run) -> Result<(), Failure> {
        runs.jobs.insert(job.name.clone(), run);
        runs.schema = document::schema(self.tool, "runs");
        file::write(&self.path, &document::canonical(&*runs)?, Mode::Private).map(|_| ())
    }
}

fn read(path: &Path) -> Runs {
    let bytes = file::read_at_most(path, limit::STATE).ok().flatten().unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The jobs whose last run failed, and why.
pub(crate) fn failed(stack: &str, tool: &str) -> Vec<(String, String)> {
    let jobs = read(&path(stack, tool)).jobs;
    jobs.into_iter().filter_map(|(name, run)| Some((name, run.failed?))).collect()
}

/// Waits for the end of a job that is being done, removes with `entry` what runs jobs and what they use, and then the record. No
/// job is begun meanwhile.
///
/// # Errors
/// Kind `Again` when the job takes longer than a few seconds; errors of the file system.
pub(crate) fn end(stack: &str, tool: &str, entry: &dyn Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    let _lock = lock(stack, tool, WAIT)?;
    entry()?;
    let path = path(stack, tool);
    file::remove(&path)?;
    path.ancestors().skip(1).take(3).for_each(file::remove_empty);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn run(began_s: u64, ended: bool, again: bool) -> Option<Run> {
        Some(Run { began_s, ended, again, failed: None })
    }

    #[test]
    fn a_job_is_due_when_its_time_has_come_and_once_after_a_kill() {
        let (yes, again) = (Due::Yes { again: false }, Due::Yes { again: true });
        for (last, now, what) in [
            (None, 5000, &yes),
            (run(5000, true, false), 5059, &Due::No),
            (run(5000, true, false), 5060, &yes),
            (run(5000, true, false), 900_000, &yes),
            (run(5000, true, false), 4999, &Due::Reset),
            (run(5000, false, false), 5010, &again),
            (run(5000, false, true), 5010, &Due::No),
            (run(5000, false, true), 5060, &yes),
        ] {
            assert_eq!(&due(last.as_ref(), 60, now), what, "{last:?} at {now}");
        }
    }

    /// A timer in a folder of its own, and what it did at each of some times.
    fn done(folder: &Path, times: &[u64], fails: bool) -> Vec<(u64, usize)> {
        let lock = Lock::take_at(folder, "office", "note-timer").unwrap();
        let timer = Timer { path: folder.join("runs/note.json"), tool: "note", _lock: lock };
        let jobs = ["a", "b"].map(|name| Job { name: name.to_owned(), every: Duration::from_secs(3600) });
        let (clock, log) = (Cell::new(0), RefCell::new(Vec::new()));
        for time in times {
            clock.set(*time);
            log.borrow_mut().push((*time, 0));
            let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(clock.get());
            let failures = timer.run(&jobs, &now, &|_| {
                log.borrow_mut().last_mut().unwrap().1 += 1;
                let failure = || Failure::new(crate::Kind::Failed, "note.refused", "no");
                if fails { Err(failure()) } else { Ok(()) }
            });
            let ran = log.borrow().last().unwrap().1;
            assert_eq!(failures.len(), if fails { ran } else { 0 });
        }
        log.into_inner()
    }

    #[test]
    fn what_was_missed_is_made_up_once_and_no_jump_of_the_clock_makes_a_storm() {
        let folder = tempfile::tempdir().unwrap();
        let day = 86_400;
        let times = [day, day + 60, day + 3600, 9 * day, 9 * day + 60, 3 * day, 3 * day + 60, 3 * day + 3600];
        let counts: Vec<usize> = done(folder.path(), &times, false).into_iter().map(|(_, n)| n).collect();
        assert_eq!(counts, [2, 0, 2, 2, 0, 0, 0, 2]);
        assert_eq!(done(folder.path(), &[4 * day], true), [(4 * day, 2)]);
        let failed = read(&folder.path().join("runs/note.json")).jobs;
        assert!(failed.values().all(|run| run.failed.as_deref() == Some("no") && run.ended));
        assert_eq!(done(folder.path(), &[4 * day + 60], false), [(4 * day + 60, 0)], "at its next time");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
    fn without_a_record_nothing_is_done() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("runs"), "not a folder").unwrap();
        let lock = Lock::take_at(folder.path(), "office", "note-timer").unwrap();
        let timer = Timer { path: folder.path().join("runs/note.json"), tool: "note", _lock: lock };
        let job = Job { name: "a".to_owned(), every: Duration::from_secs(60) };
        let failures = timer.run(&[job], &SystemTime::now, &|_| panic!("it would be due each minute"));
        assert_eq!(failures.len(), 1);
    }
}

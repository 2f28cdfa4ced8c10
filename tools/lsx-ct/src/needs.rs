//! Waits for what an instance needs. The state of an instance of LXD or Incus is asked of its engine, by a function that
//! the caller gives: an engine waits here, too.

use crate::model::{Condition, Instance, Need, State};
use crate::net;
use crate::oci::disk::InstanceFolders;
use crate::ready::{Backoff, LOST, PAUSE_MAX, Why, given_up, tried};
use crate::supervise::state;
use common::host::wait;
use common::{Failure, Kind};
use std::io::Read;
use std::time::{Duration, Instant};

/// The state of an instance of this host, by stack and name, from its engine.
pub(crate) type Ask<'a> = &'a dyn Fn(&str, &str) -> Result<Condition, Failure>;

/// The code of a wait for a needed instance that timed out.
pub(crate) const NEEDS: &str = "ct.needs";

/// Checks once whether what an instance needs is ready, from the network namespace of the process `pid`.
///
/// # Errors
/// If no check was possible.
pub(crate) fn need(stack: &str, need: &Need, pid: u32, ask: Ask<'_>) -> Result<Why, Failure> {
    let supervised = InstanceFolders::new(stack, &need.instance).disk.exists();
    match (&need.probe, need.address) {
        _ if need.here && supervised => Ok(of_state(&need.instance, &state::read(stack, &need.instance))),
        (None, _) if need.here => Ok(of_state(&need.instance, &ask(stack, &need.instance)?)),
        (Some(probe), Some(address)) => {
            let why = tried(probe, address, pid)?;
            Ok(why.map(|why| format!("{}: {why}", need.instance)))
        }
        _ => Ok(None),
    }
}

fn of_state(name: &str, condition: &Condition) -> Why {
    let ready = condition.state == State::Running || condition.ended_well();
    (!ready).then(|| format!("{name} is {}", condition.state.word()))
}

/// Waits for everything that an instance of LXD or Incus needs before it is started, from a temporary network namespace
/// with its interfaces. The reason is reported while waiting; without limit if `patient`.
///
/// # Errors
/// What was not ready in time; never if `patient`.
pub(crate) fn needs(
    stack: &str,
    instance: &Instance,
    patient: Option<&mut dyn FnMut(&str)>,
    ask: Ask<'_>,
) -> Result<(), Failure> {
    if instance.needs.is_empty() {
        return Ok(());
    }
    let forever = patient.is_some();
    let mut silent = |_: &str| {};
    let waiting = patient.unwrap_or(&mut silent);
    let mut holder = net::holder(&["--net"])?;
    let made = holder.stdout.as_mut().map(|pipe| pipe.read(&mut [0]));
    let pid = holder.id();
    let done = match made {
        Some(Ok(1)) => net::attach(stack, instance, pid, false).and_then(|()| {
            let mut needs = instance.needs.iter();
            let waited = needs.try_for_each(|need| wait_for(stack, need, (pid, ask), forever, waiting));
            net::detach(stack, instance, pid).and(waited)
        }),
        _ => Err(Failure::new(Kind::Failed, "ct.needs", "cannot create a network namespace")),
    };
    drop(holder.stdin.take());
    let _ = holder.wait();
    done
}

/// Why a needed instance of this host, of any engine, will not be ready: it has ended and is not started again.
fn gone(stack: &str, need: &Need, ask: Ask<'_>) -> Why {
    let condition = match InstanceFolders::new(stack, &need.instance).disk.exists() {
        _ if !need.here => return None,
        true => state::read(stack, &need.instance),
        false => ask(stack, &need.instance).ok()?,
    };
    let exit = condition.exit.filter(|exit| condition.state == State::Exited && exit.code != 0)?;
    Some(format!("{} has ended with {} and is not started again", need.instance, exit.code))
}

fn wait_for(
    stack: &str,
    wanted: &Need,
    (pid, ask): (u32, Ask<'_>),
    forever: bool,
    waiting: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let limit = (!forever).then(|| Duration::from_millis(wanted.timeout_ms));
    let mut backoff = Backoff::new(limit, PAUSE_MAX);
    let mut since: Option<Instant> = None;
    while let Some(why) = need(stack, wanted, pid, ask)? {
        waiting(&why);
        let failed = || Failure::new(Kind::Failed, NEEDS, format!("{} is not ready", wanted.instance));
        let gone = gone(stack, wanted, ask).filter(|_| !forever);
        // It may be about to be started.
        let stays = since.filter(|_| gone.is_some()).is_some_and(|since| since.elapsed() > LOST);
        since = gone.is_some().then(|| since.unwrap_or_else(Instant::now));
        let lost = given_up(std::iter::once(wanted)).filter(|_| !forever);
        if let Some(lost) = lost.or(gone.filter(|_| stays)) {
            return Err(failed().because(lost));
        }
        let Some(pause) = backoff.next() else { return Err(failed().because(why)) };
        wait::until(pause, pause, wait::cancelled);
    }
    Ok(())
}

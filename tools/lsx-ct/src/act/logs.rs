//! The logs of instances, and following them.

use super::{Line, Order, Target, find};
use crate::engines;
use common::host::wait;
use common::tool::Hear;
use common::{Failure, document};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Interval between checks for new lines.
const LOOK: Duration = Duration::from_millis(100);

/// The last lines; when following, they are sent as events, and later lines, too.
pub(super) fn logs(target: &Target, order: &Order, cancel: &AtomicBool, event: Hear<'_>) -> Vec<Line> {
    let wanted = |line: &Line| {
        let since = order.since.as_deref();
        since.is_none_or(|since| line.at.as_deref().is_none_or(|at| at >= since))
    };
    let told =
        if order.follow { follow(target, order, wanted, cancel, event) } else { last(target, order.lines) };
    match told {
        Ok(lines) => lines.into_iter().filter(wanted).collect(),
        Err(failure) => vec![line(target, failure.message)],
    }
}

fn last(target: &Target, lines: usize) -> Result<Vec<Line>, Failure> {
    let (driver, _) = find(target)?;
    let lines = engines::of(driver, None)?.logs(&target.stack, &target.name, lines)?;
    Ok(lines.into_iter().map(|text| line(target, text)).collect())
}

/// Until the caller or the instance ends.
fn follow(
    target: &Target,
    order: &Order,
    wanted: impl Fn(&Line) -> bool,
    cancel: &AtomicBool,
    event: Hear<'_>,
) -> Result<Vec<Line>, Failure> {
    let (driver, _) = find(target)?;
    let engine = engines::of(driver, None)?;
    let mut more = engine.follow(&target.stack, &target.name, order.lines)?;
    while !cancel.load(Ordering::Relaxed) {
        let lines = more()?;
        if lines.is_empty() {
            wait::until(LOOK, LOOK, || cancel.load(Ordering::Relaxed));
        }
        // Several lines per event: a session accepts a limited number of events.
        let lines: Vec<Line> = lines.into_iter().map(|text| line(target, text)).filter(&wanted).collect();
        if !lines.is_empty() {
            event(json!(lines));
        }
    }
    Ok(Vec::new())
}

/// A line of an engine's log, with time and stream if known.
fn line(target: &Target, text: String) -> Line {
    let mut words = text.splitn(4, ' ');
    let (at, stream, _, rest) = (words.next(), words.next(), words.next(), words.next());
    let known = at.is_some_and(|at| at.ends_with('Z')) && rest.is_some();
    Line {
        schema: document::schema("ct", "line"),
        host: common::host::name(),
        stack: target.stack.clone(),
        instance: target.name.clone(),
        at: at.filter(|_| known).map(str::to_owned),
        stream: stream.filter(|_| known).map(str::to_owned),
        line: if known { rest.unwrap_or_default().to_owned() } else { text.clone() },
    }
}

//! `tick`: each minute, runs the jobs of a stack on this host that are due. Silent when none is.

use super::TickArgs;
use crate::document;
use crate::failure::Failures;
use crate::host::{self, timer::Timer};
use crate::stdio;
use crate::tool::Tool;
use serde_json::Value;

pub(super) fn run<T: Tool>(tool: &T, args: &TickArgs) -> Result<(), Failures> {
    host::root()?;
    let (text, file) = stdio::read(Some(&args.kept))?;
    let kept: Value = document::read(&text, &file, &document::schema(T::NAME, "intent"))?;
    let stack = kept["stack"].as_str().unwrap_or_default().to_owned();
    let intent: T::Intent = document::read(&text, &file, &document::schema(T::NAME, "intent"))?;
    let jobs = tool.jobs(&intent);
    let Some(timer) = Timer::take(&stack, T::NAME)? else { return Ok(()) };
    let failures = timer.run(&jobs, &crate::log::clock, &|job| {
        tool.job(&stack, &args.myself, &intent, &job.name)
            .map_err(|failure| failure.at(format!("job {}", job.name)))
    });
    Failures(failures).verdict()
}

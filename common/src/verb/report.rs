//! What verbs report in the same way: failures of a report, a change that did not last, the document of `check`.

use crate::failure::{Failure, Failures, Kind};
use crate::log;
use crate::plan::Report;
use crate::tool::Checked;
use schemars::JsonSchema;
use serde::Serialize;

/// The failure of a change that did not last.
pub(super) fn unverified(step: &str) -> Failure {
    Failure::new(Kind::Failed, "plan.unverified", format!("all steps are done, but {step} is needed again"))
        .hint("it has ended by itself, or another program on the host changes it; `observe` shows its current state")
}

/// The failures of a report, each with its host.
pub(super) fn verdict(report: &Report) -> Result<(), Failures> {
    for stuck in report.hosts.iter().flat_map(|h| &h.stuck) {
        log::warning(&format!("could not be undone: {stuck}"));
    }
    let failures = report.hosts.iter().flat_map(|h| h.failures().map(|f| f.clone().on(&h.host)));
    Failures(super::waves::causes(failures.collect())).verdict()
}

/// The result of `check`, in its envelope.
#[derive(Serialize, JsonSchema)]
pub(super) struct Document<'a> {
    /// `lsx.<tool>.check/1`.
    pub(super) schema: String,
    /// The stack.
    pub(super) stack: &'a str,
    /// Whether there is no finding and every host answered.
    pub(super) ok: bool,
    /// Objects that the document does not name, as `host: object`.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub(super) kept: &'a [String],
    #[serde(flatten)]
    pub(super) checked: &'a Checked,
}

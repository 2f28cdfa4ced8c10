//! The checks that a tool made, and their findings.

use super::Each;
use crate::fleet;
use crate::plan::PlanHost;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One difference or failed check that `check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable dotted name.
    pub code: String,
    /// The host.
    pub host: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The checks made and their findings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// Number of checks made; zero is a failure.
    tried: usize,
    /// The findings.
    findings: Vec<Finding>,
    /// The tool's own results, one row per check or group of checks.
    rows: Vec<Value>,
}

/// The only ways to count: every finding belongs to a check, so that there are never more findings than checks.
impl Checked {
    /// One successful check.
    pub fn passed(&mut self) {
        self.tried += 1;
    }

    /// One check and its finding.
    pub fn found(&mut self, finding: Finding) {
        self.tried += 1;
        self.findings.push(finding);
    }

    /// Sends a call to hosts, all at once, and gives `answered` what they answer. One that does not is a finding with this code.
    pub fn ask<A: DeserializeOwned>(
        &mut self,
        each: Each<'_>,
        (call, input): (&str, &Value),
        hosts: &[PlanHost],
        code: &str,
        mut answered: impl FnMut(&mut Self, &str, A),
    ) {
        let asked: BTreeMap<_, _> = hosts.iter().map(|host| (host.name.clone(), input.clone())).collect();
        for (host, answer) in each(call, asked) {
            match answer.and_then(|answer| Ok(fleet::shape::<A>(answer)?)) {
                Ok(answer) => answered(self, &host, answer),
                Err(failures) => {
                    let (code, message) = (code.to_owned(), failures.to_string());
                    self.found(Finding { code, host, message, hint: None });
                }
            }
        }
    }

    /// Several findings, put before all others.
    pub(crate) fn found_first(&mut self, findings: Vec<Finding>) {
        self.tried += findings.len();
        self.findings.splice(0..0, findings);
    }

    /// A row of the tool itself.
    pub fn row(&mut self, row: Value) {
        self.rows.push(row);
    }

    /// Number of checks made.
    pub const fn tried(&self) -> usize {
        self.tried
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

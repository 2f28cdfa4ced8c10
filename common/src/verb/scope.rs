//! The parts and hosts that a verb is limited to.

use crate::failure::{Failure, Failures, Kind};
use clap::Args;

/// Limits on parts of the stack and on hosts.
#[derive(Clone, Debug, Default, Args)]
pub struct ScopeArgs {
    /// Limit the verb to these parts of the document, such as networks.test,instances.web, or to hosts, such as hosts.h2
    #[arg(long, value_name = "PARTS")]
    pub only: Option<String>,
    /// Do not contact this host, and report it as skipped; may be repeated
    #[arg(long, value_name = "HOST")]
    pub offline: Vec<String>,
    /// Treat this host as this machine, without ssh; may be repeated
    #[arg(long, value_name = "HOST")]
    pub local: Vec<String>,
}

impl ScopeArgs {
    /// Whether no flag limits a verb that concerns this host without a stack.
    ///
    /// # Errors
    /// If such a flag is given, of kind `Usage`.
    pub fn of_this_host(&self) -> Result<(), Failures> {
        let given = [
            ("--only", self.only.is_some()),
            ("--offline", !self.offline.is_empty()),
            ("--local", !self.local.is_empty()),
        ];
        given.into_iter().find(|(_, given)| *given).map_or(Ok(()), |(flag, _)| {
            let message = format!("{flag} needs a stack, but none is given");
            let hint = "name its file, set LSX_STACK, or change to a folder with a stack.yaml";
            Err(Failure::new(Kind::Usage, "usage.stack", message).hint(hint).into())
        })
    }
}

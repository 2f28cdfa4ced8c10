//! Before `down`: names the services of other tools that run on the hosts and need what is about to be removed.

use super::HostSet;
use crate::fleet;
use crate::host::service::running::Running;
use crate::plan::Warning;
use crate::tool::Tool;
use serde_json::json;
use std::collections::BTreeMap;

/// The most services named in a warning.
const NAMED: usize = 5;

impl<T: Tool> HostSet<T> {
    /// One warning for each host and tool. A host that does not answer is reported by what is asked of it next.
    pub(super) fn dependents(&mut self, stack: &str) -> Vec<Warning> {
        let request = json!({"op": "dependents", "stack": stack});
        let answers = self.ask(self.names().into_iter().map(|host| (host, request.clone())).collect());
        let mut warnings = Vec::new();
        for (host, answer) in answers {
            let all = answer.ok().and_then(|all| fleet::shape::<Vec<Running>>(all).ok()).unwrap_or_default();
            let mut tools: BTreeMap<String, Vec<String>> = BTreeMap::new();
            all.into_iter().for_each(|one| tools.entry(one.tool).or_default().push(one.name));
            warnings.extend(tools.iter().map(|(tool, names)| warning(&host, tool, names, stack)));
        }
        warnings
    }
}

fn warning(host: &str, tool: &str, names: &[String], stack: &str) -> Warning {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if names.len() > 1 { "are" } else { "is" };
    let names = shown.join(", ");
    let message = format!(
        "{host}: {names}{more} of stack {stack} {verb} still running; `lsx-{tool} down` removes that and should come first"
    );
    Warning { code: "plan.dependents".to_owned(), message }
}

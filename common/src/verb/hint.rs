//! Adapts hints from a remote host to this machine: commands in them need `--stack`.

use crate::failure::Failures;
use std::path::Path;
use std::sync::OnceLock;

/// The verbs on instances that take `--stack`.
const VERBS: [&str; 8] = ["logs", "start", "stop", "restart", "wait", "exec", "top", "cp"];

/// The stack file that was named; a default file needs no flag.
static NAMED: OnceLock<String> = OnceLock::new();

/// Remembers the stack file. A stack from a pipe has none.
pub(super) fn remember(input: Option<&Path>, usual: bool) {
    let name = match input {
        Some(path) => path.display().to_string(),
        None if usual => return,
        None => "FILE".to_owned(),
    };
    let _ = NAMED.set(name);
}

/// Failures of remote hosts, with hints that work here.
pub(crate) fn remote(failures: &mut Failures) {
    for failure in &mut failures.0 {
        if let Some(host) = &failure.host {
            failure.message = failure.message.replace("--offline HOST", &format!("--offline {host}"));
        }
    }
    let Some(file) = NAMED.get() else { return };
    for failure in failures.0.iter_mut().filter(|failure| failure.host.is_some()) {
        failure.hint = failure.hint.take().map(|hint| with_stack(&hint, file));
    }
}

fn with_stack(hint: &str, file: &str) -> String {
    let mut text = hint.to_owned();
    for verb in VERBS {
        let command = format!("lsx-ct {verb} ");
        if !text.contains(&format!("{command}--stack")) {
            text = text.replace(&command, &format!("{command}--stack {file} "));
        }
    }
    text.replace("`lsx-ct observe --table`", &format!("`lsx-ct observe {file} --table`"))
}

#[cfg(test)]
mod tests {
    use super::with_stack;

    #[test]
    fn commands_on_instances_get_the_stack_once() {
        let hint = "lsx-ct logs web; to wait longer: ready.timeout";
        let there = "lsx-ct logs --stack a.yaml web; to wait longer: ready.timeout";
        assert_eq!(with_stack(hint, "a.yaml"), there);
        assert_eq!(with_stack(there, "a.yaml"), there);
        assert_eq!(
            with_stack("`lsx-ct observe --table` shows it", "a"),
            "`lsx-ct observe a --table` shows it"
        );
        assert_eq!(with_stack("`lsx-ct up` repairs it", "a"), "`lsx-ct up` repairs it");
    }
}

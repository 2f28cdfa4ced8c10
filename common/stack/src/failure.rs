//! The error type of all tools: what, where, why, and what to do next.

use crate::printable;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The kind of a failure. [`Kind::exit`] turns it into an exit code (sysexits.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The verb failed: exit 1.
    Failed,
    /// `check` or `plan --exit-code` found a difference: exit 2.
    Differs,
    /// Flags are wrong: exit 64.
    Usage,
    /// A document is malformed or invalid: exit 65.
    Data,
    /// The input is empty, because the previous program in the pipe failed: exit 66.
    Empty,
    /// A host or a service cannot be reached: exit 69.
    Unreachable,
    /// A bug of lsx: exit 70.
    Bug,
    /// The lock is held or the plan is stale; the same command may succeed later: exit 75.
    Again,
    /// Permission denied: exit 77.
    Denied,
}

impl Kind {
    /// The exit code, as listed in man/lsx.7.
    pub const fn exit(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Differs => 2,
            Kind::Usage => 64,
            Kind::Data => 65,
            Kind::Empty => 66,
            Kind::Unreachable => 69,
            Kind::Bug => 70,
            Kind::Again => 75,
            Kind::Denied => 77,
        }
    }
}

/// The place of a failure in a document. `path` is like `networks.test.cidr`; line and column count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Place {
    /// The file as the user named it, `-` for standard input.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Keys from the top of the document, joined by dots.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Line, from 1; 0 for a derived value, which has no place in the text.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u32,
    /// Column in characters, from 1; 0 when unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub column: u32,
    /// The text of that line, printed above the caret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A program that failed: its arguments, how it ended, and the last lines of its standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProgramFailure {
    /// The argument list.
    pub argv: Vec<String>,
    /// `exit 1`, `signal 9`, or why it could not be started.
    pub status: String,
    /// The last 20 lines of its standard error.
    pub output: Vec<String>,
}

/// One failure. `code` is for programs (`net.plan.overlap`), `message` for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    /// Stable dotted name.
    pub code: String,
    /// Decides the exit code.
    pub kind: Kind,
    /// One sentence without a full stop.
    pub message: String,
    /// The place, when the failure is about a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// The host, when the failure is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Causes, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The program that failed, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramFailure>,
    /// Whether the same command may succeed later without any change.
    #[serde(default)]
    pub retry: bool,
}

impl Failure {
    /// A failure of a kind, with its code and message.
    pub fn new(kind: Kind, code: &str, message: impl Into<String>) -> Self {
        Failure {
            code: code.to_owned(),
            kind,
            message: message.into(),
            at: None,
            host: None,
            hint: None,
            causes: Vec::new(),
            program: None,
            retry: matches!(kind, Kind::Again | Kind::Unreachable),
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a cause, the nearest first.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds the path in the document; the reader of the document adds line and column.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.at = Some(Place { path: path.into(), ..Place::default() });
        self
    }

    /// Adds the host.
    #[must_use]
    pub fn on(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Adds the program that failed.
    #[must_use]
    pub fn program(mut self, program: ProgramFailure) -> Self {
        self.program = Some(program);
        self
    }
}

impl fmt::Display for Failure {
    /// As text, without the tool's name: `office.yaml:14:11: networks.test.cidr: message`, then causes and hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}: ")?;
        }
        if let Some(at) = &self.at {
            at.fmt(f)?;
        }
        f.write_str(&set_in(&self.message, "  "))?;
        if let Some(at) = self.at.as_ref().filter(|at| at.line > 0 && !at.text.is_empty()) {
            at.caret(f)?;
        }
        for cause in &self.causes {
            write!(f, "\n  because {}", set_in(cause, "    "))?;
        }
        if let Some(program) = &self.program {
            write!(f, "\n  because `{}` ended with {}", program.argv.join(" "), program.status)?;
            for line in &program.output {
                write!(f, "\n    | {}", set_in(line, "    | "))?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", set_in(hint, "    "))?;
        }
        Ok(())
    }
}

/// Indents further lines of a text, so that texts from elsewhere cannot look like a cause or hint of lsx.
fn set_in<'t>(text: &'t str, by: &str) -> Cow<'t, str> {
    if text.contains('\n') { text.replace('\n', &format!("\n{by}")).into() } else { text.into() }
}

impl std::error::Error for Failure {}

impl Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column.max(1))?;
            }
            write!(f, " ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        Ok(())
    }

    fn caret(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let column = self.column.saturating_sub(1) as usize;
        let (text, column) = around(&self.text, column);
        // The printed form, so that the caret stands below the right word.
        let before: String = text.chars().take(column).collect();
        let indent: String =
            printable::text(&before).chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let text = printable::text(&text);
        write!(f, "\n  {number} | {text}\n  {:width$} | {indent}^", "", width = number.len())
    }
}

/// The part of a line around a column, and the column in it: in a wrapped line, the caret would be in the wrong place.
fn around(line: &str, column: usize) -> (Cow<'_, str>, usize) {
    const WIDE: usize = 100;
    const BEFORE: usize = 30;
    let length = line.chars().count();
    if length <= WIDE {
        return (line.into(), column);
    }
    let first = column.min(length).saturating_sub(BEFORE);
    let dots = |there: bool| if there { "..." } else { "" };
    let part: String = line.chars().skip(first).take(WIDE - BEFORE).collect();
    let after = first + part.chars().count() < length;
    let text = format!("{}{part}{}", dots(first > 0), dots(after));
    (text.into(), column - first + dots(first > 0).len())
}

/// All failures of a run. Not empty when it is an `Err`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(pub Vec<Failure>);

impl Failures {
    /// The common exit code of all failures, else 1.
    pub fn exit(&self) -> u8 {
        let mut codes = self.0.iter().map(|f| f.kind.exit());
        match codes.next() {
            None => Kind::Bug.exit(),
            Some(first) if codes.all(|c| c == first) => first,
            Some(_) => Kind::Failed.exit(),
        }
    }

    /// `Ok` when there are none.
    ///
    /// # Errors
    /// Itself, when there are any.
    pub fn verdict(self) -> Result<(), Failures> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Failure> for Failures {
    fn from(failure: Failure) -> Self {
        Failures(vec![failure])
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, failure) in self.0.iter().enumerate() {
            write!(f, "{}{failure}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Failures {}

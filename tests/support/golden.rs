//! Golden cases of a tool: a stack, observed documents, and the expected plan or failure, byte for byte.
//!
//! `observed.json` must not change: a version of lsx that finds a difference there would change running hosts for nothing.
//! If that is intended, `LSX_BLESS=observed` creates the documents again from `drift.json`: `{"was": "stack.yaml", "edits":
//! [{"host": "h1", "at": ["objects", "bridge:lan", "object", "mtu"], "to": 1400}]}`.

use crate::{Tool, blessing, entries};
use anyhow::Context as _;
use serde_json::Value;
use std::path::PathBuf;

/// A golden case.
#[derive(Debug)]
pub struct Case {
    /// Its name; that of an expected failure begins with `no-`.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The stack's file, from the folder.
    pub stack: String,
}

impl Case {
    /// A file of the folder.
    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(name)).ok()
    }

    /// The stack.
    pub fn text(&self) -> String {
        crate::read(&self.folder.join(&self.stack)).unwrap()
    }

    /// Flags in addition to the stack and observed documents.
    pub fn args(&self) -> Vec<String> {
        self.read("args").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// How the observed documents are created: the stack that was up before, if any, and later changes on the hosts.
    pub fn drift(&self) -> Option<(Option<String>, Vec<Value>)> {
        let path = self.folder.join("drift.json");
        let drift = serde_json::from_str::<Value>(&self.read("drift.json")?);
        let drift = drift.with_context(|| format!("{} is not JSON", path.display())).unwrap();
        let file = drift["was"].as_str().map(|f| if f == "stack.yaml" { &self.stack } else { f });
        let was = file.map(|f| crate::read(&self.folder.join(f)).unwrap());
        Some((was, drift["edits"].as_array().cloned().unwrap_or_default()))
    }

    /// Observed documents as `drift.json` says, one a line: `documents` makes those of a stack's hosts, with its objects if it
    /// was up.
    pub fn remade(&self, documents: impl Fn(&str, bool) -> Vec<Value>) -> Option<String> {
        let (was, edits) = self.drift()?;
        let mut made = documents(was.as_ref().unwrap_or(&self.text()), was.is_some());
        for document in &mut made {
            let host = document["host"].clone();
            edits.iter().filter(|one| one["host"] == host).for_each(|one| edit(document, one));
        }
        Some(made.iter().map(|document| format!("{document}\n")).collect())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        match text {
            "" if path.exists() => {
                std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
            }
            "" => Ok(()),
            text => crate::write(&path, text),
        }
    }
}

/// All golden folders of a tool, by name: `net`.
pub fn cases(word: &str) -> Vec<Case> {
    let folders = entries(&format!("tests/fixtures/{word}")).into_iter().filter(|path| path.is_dir());
    let case = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let mut case = Case { name, folder, stack: "stack.yaml".to_owned() };
        if let Some(path) = case.read("stack.path") {
            case.stack = format!("../../../../{}", path.trim());
        }
        case
    };
    folders.map(case).collect()
}

/// Runs every case; `remade` makes its observed documents, one a line.
///
/// # Panics
/// If one differs from the expected output.
pub fn run(tool: &Tool, remade: impl Fn(&Case) -> Option<String>) {
    let mut wrong = Vec::new();
    for case in cases(tool.word()) {
        if std::env::var_os("LSX_BLESS").is_some_and(|how| how == "observed") {
            remade(&case).into_iter().for_each(|made| case.write("observed.json", &made).unwrap());
        }
        let (plan, said) = come(tool, &case);
        if plan.is_empty() != case.name.starts_with("no-") {
            wrong.push(format!("{}: a refusal is called no-\n{said}", case.name));
        }
        let error = if plan.is_empty() { said.as_str() } else { "" };
        for (name, came) in [("plan.json", plan.as_str()), ("error.txt", error)] {
            let wanted = case.read(name).unwrap_or_default();
            if wanted != came && blessing() {
                case.write(name, came).unwrap();
            } else if wanted != came {
                wrong.push(format!("{}/{name}: {}", case.name, first_difference(&wanted, came)));
            }
        }
    }
    assert!(wrong.is_empty(), "LSX_BLESS=1 takes these over:\n{}", wrong.join("\n"));
}

/// The plan, indented, and the messages with the exit code.
fn come(tool: &Tool, case: &Case) -> (String, String) {
    let args = ["plan", &case.stack, "--observed", "observed.json"];
    let ended = tool.run(args).args(case.args()).within(&case.folder).end();
    assert_ne!(ended.code(), 70, "{}: {}", case.name, ended.stderr);
    if ended.code() == 0 {
        let plan: Value = ended.document();
        let text = serde_json::to_string_pretty(&plan).unwrap() + "\n";
        // Places of secrets are absolute.
        (text.replace(&case.folder.display().to_string(), "/FOLDER"), ended.stderr)
    } else {
        (String::new(), format!("{}exit {}\n", ended.stderr, ended.code()))
    }
}

fn first_difference(wanted: &str, came: &str) -> String {
    let (mut wanted, mut came) = (wanted.lines(), came.lines());
    for line in 1.. {
        let (a, b) = (wanted.next(), came.next());
        if a != b || a.is_none() {
            let (a, b) = (a.unwrap_or("nothing"), b.unwrap_or("nothing"));
            return format!("line {line}\n  wanted {a}\n  came   {b}");
        }
    }
    String::new()
}

/// Changes a document as an edit says. Steps of `at` are keys; in lists of objects a `key` or a `name`, a number, or `+`
/// for a new one at the end. Without `to` the entry is removed.
pub fn edit(document: &mut Value, edit: &Value) {
    let path: Vec<&str> = edit["at"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    set(document, &path, edit.get("to"));
}

fn set(value: &mut Value, path: &[&str], to: Option<&Value>) {
    let (step, rest) = path.split_first().unwrap();
    if let Value::Array(items) = value {
        let named = |item: &Value| item["key"] == *step || item["name"] == *step;
        match (items.iter().position(named).or_else(|| step.parse().ok()), to) {
            (None, Some(to)) if *step == "+" => items.push(to.clone()),
            (Some(at), None) if rest.is_empty() => drop(items.remove(at)),
            (Some(at), Some(to)) if rest.is_empty() => items[at] = to.clone(),
            (Some(at), to) => set(&mut items[at], rest, to),
            (None, _) => panic!("nothing is called {step}"),
        }
        return;
    }
    let map = value.as_object_mut().unwrap_or_else(|| panic!("{step} of no object"));
    match (to, rest) {
        (None, []) => assert!(map.shift_remove(*step).is_some(), "there is no {step}"),
        (Some(to), []) => drop(map.insert((*step).to_owned(), to.clone())),
        (to, rest) => set(&mut map[*step], rest, to),
    }
}

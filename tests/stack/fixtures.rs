//! Golden cases: `stack.yaml` and the expected output, byte for byte. `LSX_BLESS=1` writes the actual output.
//!
//! The addresses in `resolved.json` must never change: another version would renumber running stacks.

use crate::{load, printed};
use common::Failures;
use common::stack::{ReadOptions, Warning};
use lsx_tests::top;
use std::fmt::Write as _;
use std::path::Path;

/// One case: its text and how it is read.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) options: ReadOptions,
}

/// All cases, by name.
pub(crate) fn cases() -> Vec<Case> {
    let root = top("tests/fixtures/stack");
    let mut cases: Vec<Case> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            Case { text: text(&folder), options: options(&folder), name }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn text(folder: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    match read("stack.path") {
        Ok(path) => std::fs::read_to_string(top(path.trim())).unwrap(),
        Err(_) => read("stack.yaml").or_else(|_| read("stack.json")).unwrap(),
    }
}

fn options(folder: &Path) -> ReadOptions {
    let Ok(text) = std::fs::read_to_string(folder.join("options.json")) else {
        return ReadOptions::default();
    };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let set =
        value["set"].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect();
    let environment = value["environment"].as_str().map(str::to_owned);
    ReadOptions { environment, set, keep_going: value["keep_going"] == true }
}

/// Failures for people, each under its code.
fn told(failures: &Failures) -> String {
    failures.0.iter().fold(String::new(), |mut text, failure| {
        writeln!(text, "[{}]\n{failure}\n", failure.code).unwrap();
        text
    })
}

fn warned(warnings: &[Warning]) -> String {
    let line = |warning: &Warning| serde_json::to_string(warning).unwrap() + "\n";
    warnings.iter().map(line).collect()
}

/// The expected content of a file of the case; an empty text means no file.
fn expect(case: &Case, file: &str, came: &str) -> bool {
    let path = top("tests/fixtures/stack").join(&case.name).join(file);
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    if wanted == came {
        return true;
    }
    if std::env::var_os("LSX_BLESS").is_some() {
        let done = if came.is_empty() { std::fs::remove_file(&path) } else { std::fs::write(&path, came) };
        done.unwrap();
        return true;
    }
    #[expect(clippy::print_stderr, reason = "one test tells of every case")]
    {
        eprintln!("--- {}/{file}: wanted\n{wanted}\n--- came\n{came}", case.name);
    }
    false
}

#[test]
fn every_case_gives_what_it_gave() {
    let (mut refused, mut accepted, mut wrong) = (0, 0, Vec::new());
    for case in cases() {
        let (error, resolved, warnings) = match load(&case.text, &case.options) {
            Ok((stack, warnings, resolved)) => (String::new(), printed(&stack, &resolved), warned(&warnings)),
            Err(failures) => (told(&failures), String::new(), String::new()),
        };
        let is_bad = !error.is_empty();
        assert_eq!(
            is_bad,
            case.name.starts_with("no-"),
            "{}: a refusal is called no-...\n{error}",
            case.name
        );
        if is_bad {
            refused += 1
        } else {
            accepted += 1
        }
        let same = [("error.txt", &error), ("resolved.json", &resolved), ("warnings.json", &warnings)]
            .map(|(file, came)| expect(&case, file, came));
        if same.contains(&false) {
            wrong.push(case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} differ; LSX_BLESS=1 takes them over");
    assert!(refused >= 40 && accepted >= 15, "{refused} refusals, {accepted} good ones");
}

#[test]
fn failures_point_into_the_text() {
    // Documents with lines that are not shown, because they may contain a secret.
    const SECRETS: [&str; 11] = [
        "no-given-values",
        "no-names",
        "no-outside",
        "no-pki",
        "no-recipe-values",
        "no-secret-shown",
        "no-secret-syntax",
        "no-secret-written",
        "no-secrets",
        "no-seed",
        "no-types",
    ];
    for case in cases().into_iter().filter(|case| case.name.starts_with("no-") && case.options.set.is_empty())
    {
        let failures = load(&case.text, &case.options).unwrap_err();
        for failure in &failures.0 {
            if ["stack.empty", "stack.environment"].contains(&failure.code.as_str()) {
                continue;
            }
            let at = failure.at.as_ref().unwrap();
            let line = case.text.lines().nth(at.line as usize - 1).unwrap_or_default();
            let hidden = at.text.is_empty() && SECRETS.contains(&case.name.as_str());
            assert!(hidden || line.trim_end() == at.text, "{}: {at:?}", case.name);
            assert!(!failure.to_string().contains("hunter2"), "{}: {failure}", case.name);
            assert!(at.column as usize <= line.chars().count() + 1, "{}: {at:?}", case.name);
        }
    }
}

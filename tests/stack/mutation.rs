//! Thousands of malformed documents: each gives an answer, never a panic.

use crate::fixtures::cases;
use common::stack::{Only, ReadOptions, read, resolve, resolved_document};
use lsx_tests::{Corpus, Dice, soak};
use serde_json::Value;

#[test]
fn nothing_panics() {
    let mut dice = Dice(0x5eed);
    let (mut good, mut bad) = (0, 0);
    for case in cases() {
        for round in 0..60 {
            let text = dice.broken(&case.text);
            let options = ReadOptions { keep_going: round % 2 == 0, ..case.options.clone() };
            match read(&text, "broken", &options) {
                Ok((stack, _)) => {
                    good += 1;
                    let _ = resolve(&stack).map(|resolved| serde_json::to_string(&resolved).unwrap());
                }
                Err(failures) => {
                    bad += 1;
                    assert!(!failures.0.is_empty(), "no reason given for {text}");
                    let _ = failures.to_string();
                }
            }
        }
    }
    assert!(good > 100 && bad > 1000, "{good} good, {bad} bad");
}

/// Valid stacks as they are written, with their short forms, and in the long form that `resolve` prints.
fn valid() -> Corpus {
    let mut documents = Vec::new();
    for case in cases() {
        let Ok((stack, _, resolved)) = crate::load(&case.text, &case.options) else { continue };
        documents.extend(serde_yaml::from_str::<Value>(&case.text).ok());
        documents.push(serde_json::to_value(resolved_document(&stack, &resolved)).unwrap());
        documents.push(serde_json::to_value(&stack).unwrap());
    }
    Corpus::of(documents)
}

/// Every input gets an answer; a valid one resolves, and reads back as the same.
fn answered(text: &str) -> bool {
    match read(text, "soak", &ReadOptions::default()) {
        Ok((stack, _)) => {
            let Ok(resolved) = resolve(&stack) else { return false };
            let printed = serde_json::to_string(&resolved_document(&stack, &resolved)).unwrap();
            let (again, _) = read(&printed, "again", &ReadOptions::default())
                .unwrap_or_else(|failures| panic!("what was printed is refused: {failures}"));
            assert_eq!(resolve(&again).unwrap(), resolved, "resolves to something else");
            true
        }
        Err(failures) => {
            assert!(!failures.0.is_empty(), "no reason given");
            let lines = text.lines().count().max(1);
            for failure in &failures.0 {
                let at = failure.at.as_ref();
                assert!(at.is_none_or(|at| at.line as usize <= lines), "{failure} is beyond the text");
            }
            assert!(!failures.to_string().is_empty());
            false
        }
    }
}

#[test]
fn soak_stack() {
    let corpus = valid();
    let make = |dice: &mut Dice| {
        let text = corpus.mutant(dice).to_string();
        // One in eight is also damaged as text.
        if dice.below(8) == 0 { dice.broken(&text).into_bytes() } else { text.into_bytes() }
    };
    soak("stack", 1500, 15, make, |input| answered(&String::from_utf8_lossy(input)));
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let deep = (1..200)
        .fold(String::from("a0: &a0 [x]\n"), |text, i| text + &format!("a{i}: &a{i} [*a{}]\n", i - 1));
    let nested = "[".repeat(100_000);
    let own = "a: &a [*a]\n".to_owned();
    for (text, code) in
        [(laughs, "stack.size"), (deep, "stack.depth"), (nested, "stack.depth"), (own, "stack.alias")]
    {
        let failures = read(&text, "bomb", &ReadOptions::default()).unwrap_err();
        assert_eq!(
            failures.0[0].code,
            code,
            "{}",
            &failures.to_string()[..80.min(failures.to_string().len())]
        );
    }
}

#[test]
fn only_never_panics_and_names_what_is_unknown() {
    let (stack, _) = crate::good(
        "stack: t\nhosts: { h: 192.0.2.1 }\nnetworks: { test: 10.0.0.0/24 }\ninstances: { web: { count: 2 } }\n",
    );
    let only = Only::parse("networks.test, instances.web-2").unwrap();
    only.check(&stack).unwrap();
    assert!(only.network("test") && !only.network("prod") && only.host("h"));
    assert!(only.instance("web", "web-2") && !only.instance("web", "web-1"));
    assert!(Only::parse("").unwrap().network("any"));
    assert!(Only::parse("networks,networks.test").unwrap().network("prod"));
    let failures = Only::parse("networks.tset").unwrap().check(&stack).unwrap_err();
    assert_eq!(failures.0[0].hint.as_deref(), Some("did you mean `test`?"));
    for wrong in ["network.test", "networks.", ".", "x"] {
        assert!(Only::parse(wrong).is_err(), "{wrong}");
    }
}

//! Thousands of malformed documents: each gives an answer, never a panic or exit 70.

use crate::{Hosts, cases, plan_input, tool};
use common::tool::{ObservedOf, PlanOf};
use lsx_net::Net;
use lsx_tests::Dice;
use serde_json::Value;

#[test]
fn no_observed_document_makes_the_plan_panic() {
    let mut dice = Dice(0xbad);
    let (mut good, mut bad) = (0, 0);
    for case in cases() {
        let Ok(input) = plan_input(&case.text()) else { continue };
        let lines = case.read("observed.json").unwrap();
        for _ in 0..150 {
            let mut hosts = crate::observed(&case);
            let at = dice.below(hosts.len());
            let value = dice.changed(&serde_json::from_str(lines.lines().nth(at).unwrap()).unwrap());
            let seen: Option<ObservedOf<Net>> = serde_json::from_value(value).ok();
            let hosts: Option<Hosts> = seen.map(|seen| {
                hosts.insert(seen.host.clone(), seen);
                hosts
            });
            let Some(hosts) = hosts else {
                bad += 1;
                continue;
            };
            good += 1;
            if let Err(failures) = lsx_net::plan::plan(&input, &hosts) {
                assert_ne!(failures.exit(), 70, "{failures}");
                assert!(!failures.to_string().is_empty());
            }
        }
    }
    assert!(good > 1000 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn no_stack_makes_the_plan_panic() {
    let mut dice = Dice(0xfeed);
    let (mut good, mut bad) = (0, 0);
    for case in cases() {
        let (text, hosts) = (case.text(), crate::observed(&case));
        for _ in 0..100 {
            match plan_input(&dice.broken(&text)) {
                Ok(input) => {
                    good += 1;
                    if let Err(failures) = lsx_net::plan::plan(&input, &hosts) {
                        assert_ne!(failures.exit(), 70, "{failures}");
                    }
                }
                Err(_) => bad += 1,
            }
        }
    }
    assert!(good > 100 && bad > 500, "{good} good, {bad} bad");
}

#[test]
fn no_plan_is_read_with_a_panic() {
    let mut dice = Dice(0xcafe);
    let mut good = 0;
    for plan in cases().iter().filter_map(|case| case.read("plan.json")) {
        let value: Value = serde_json::from_str(&plan).unwrap();
        for _ in 0..50 {
            let changed = dice.changed(&value);
            if let Ok(plan) =
                common::document::read::<PlanOf<Net>>(&changed.to_string(), "x", "lsx.net.plan/1")
            {
                good += 1;
                let _ = lsx_net::plan::share(&plan.data, &plan.steps, &plan.contents);
            }
        }
    }
    assert!(good > 100, "{good} good");
}

/// Through the program: flags, files, streams and all. Plans that could be carried out here are never given to `apply`.
#[test]
fn the_program_answers_whatever_comes() {
    let mut dice = Dice(0xabc);
    let cases = cases();
    let folder = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let case = &cases[dice.below(cases.len())];
        let observed = case.folder.join("observed.json").display().to_string();
        let ended = match round % 4 {
            0 => tool().run(["resolve"]).input(dice.broken(&case.text())).end(),
            1 => tool().run(["plan", "--observed", &observed]).input(dice.broken(&case.text())).end(),
            2 => {
                let path = folder.path().join("observed.json");
                std::fs::write(&path, dice.broken(&case.read("observed.json").unwrap())).unwrap();
                let args = ["plan", &case.stack, "--observed", path.to_str().unwrap()];
                tool().run(args).within(&case.folder).end()
            }
            _ => tool()
                .run(["apply"])
                .input(dice.broken(
                    "{\"schema\":\"lsx.net.plan/1\",\"stack\":\"x\",\"hosts\":[],\"steps\":[],\"data\":{}}",
                ))
                .end(),
        };
        let expected = [0, 1, 64, 65, 66];
        assert!(expected.contains(&ended.code()), "{}: {} {}", ended.line, ended.code(), ended.stderr);
        assert!(ended.code() == 0 || !ended.stderr.is_empty());
        if ended.code() > 2 {
            assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        }
    }
}

#[test]
fn attach_refuses_what_is_no_interface() {
    let mut dice = Dice(0xa77ac4);
    let nic = r#"{"stack":"no-such-stack","instance":"web","netns":"/nowhere/ns","name":"eth0","network":"lan","link":"li0000","address":"10.0.0.2/24","mac":"02:00:00:00:00:01"}"#;
    for _ in 0..60 {
        let ended = tool().run(["attach"]).input(dice.broken(nic)).end();
        assert!(
            ![0, 70].contains(&ended.code()) && ended.stdout.is_empty(),
            "{}: {}",
            ended.code(),
            ended.stderr
        );
    }
}

//! Documents: the envelope, unknown keys, refusals, secrets.

use crate::{STACK_VERBS, file, pair, plan_of, scratch};
use lsx_tests::{Tool, tools_and_smallest};
use serde_json::{Value, json};

/// Documents of every kind, by the name that `schema` gives their kind.
fn written(tool: &Tool) -> Vec<(&'static str, Value)> {
    let folder = scratch();
    let report = folder.path().join("report.json").display().to_string();
    let away = ["up", &pair(), "--offline", "h1", "--offline", "h2", "--report", &report];
    let up = tool.run(away).end().with(0).document();
    let report = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let [_, _, _, observed] = plan_of(tool);
    let observed = std::fs::read_to_string(observed).unwrap();
    let mut all = vec![("stack", up), ("report", report)];
    all.push(("stack", tool.run(["resolve", &pair()]).end().with(0).document()));
    all.push(("plan", tool.run(plan_of(tool)).end().with(0).document()));
    all.extend(observed.lines().map(|line| ("observed", serde_json::from_str(line).unwrap())));
    let here = tool.run(["observe"]).end();
    if here.code() == 0 {
        all.push(("observed", here.document()));
    }
    all
}

/// A section that no tool uses yet is validated, with a warning.
#[test]
fn what_is_not_built_gives_one_warning_a_verb() {
    let text = std::fs::read_to_string(pair()).unwrap();
    let disk = "disks: { d: { size: 1G, host: h1, network: lan, to: host/h2 } }";
    let text = format!("{text}\nsnap: {{}}\npki: {{ host: h1, acme: {{}} }}\nstore: {{ {disk} }}\n");
    for tool in tools_and_smallest() {
        for verb in STACK_VERBS {
            let away = if verb == "resolve" { &[][..] } else { &["--offline", "h1", "--offline", "h2"] };
            let ended = tool.run([verb, "-q"]).args(away).input(text.as_str()).end();
            assert_eq!(ended.stderr.matches("warning:").count(), 1, "{verb}: {}", ended.stderr);
            for place in ["not supported yet", "-:", "pki.acme, snap.state, store.disks"] {
                assert!(ended.stderr.contains(place), "{verb}: {}", ended.stderr);
            }
        }
    }
}

#[test]
fn the_schema_of_every_kind_holds_for_real_documents() {
    for tool in tools_and_smallest() {
        let schemas = tool.run(["schema"]).end().with(0).document();
        for (kind, document) in written(&tool) {
            let schema = &schemas[kind];
            assert!(jsonschema::meta::is_valid(schema), "{kind} is no JSON Schema");
            let validator = jsonschema::validator_for(schema).unwrap();
            let wrong: Vec<String> =
                validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{} {kind}: {wrong:#?}", tool.name);
        }
    }
}

#[test]
fn the_schema_comes_first_and_nothing_is_null() {
    for tool in tools_and_smallest() {
        for (kind, document) in written(&tool) {
            let schema = match kind {
                "stack" => "lsx.stack/1".to_owned(),
                kind => format!("lsx.{}.{kind}/1", tool.word()),
            };
            let (key, value) = document.as_object().unwrap().iter().next().unwrap();
            assert_eq!((key.as_str(), value), ("schema", &Value::from(schema)));
            let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
            let order = ["schema", "stack", "host", "base", "warnings"];
            let places: Vec<_> = keys.iter().filter_map(|k| order.iter().position(|o| o == k)).collect();
            assert!(places.is_sorted(), "{kind}: {keys:?}");
            nowhere_null(&document, kind);
        }
    }
}

fn nowhere_null(value: &Value, path: &str) {
    match value {
        Value::Null => panic!("{path} is null"),
        Value::Array(items) => items.iter().for_each(|item| nowhere_null(item, path)),
        Value::Object(map) => map.iter().for_each(|(key, v)| nowhere_null(v, &format!("{path}.{key}"))),
        _ => {}
    }
}

#[test]
fn keys_are_snake_case_and_words_are_lower_case() {
    for tool in tools_and_smallest() {
        let schemas = tool.run(["schema"]).end().with(0).document();
        for (kind, schema) in schemas.as_object().unwrap() {
            assert!(schema.is_object(), "{kind}");
            worded(schema, kind);
        }
    }
}

/// Reads a JSON Schema: its `properties`, and the words of `enum` and `const`.
fn worded(schema: &Value, path: &str) {
    let lower = |text: &str| !text.chars().any(char::is_uppercase);
    let snake = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if let Some(properties) = schema["properties"].as_object() {
        for key in properties.keys().filter(|key| !key.starts_with("x-")) {
            assert!(snake(key), "{path}: {key}");
        }
    }
    let words = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    for word in words.filter_map(Value::as_str) {
        // Types of DNS records are written as RFC 1035 writes them.
        let record = path.contains(".RecordType.") && word.chars().all(|c| c.is_ascii_uppercase());
        assert!(record || lower(word), "{path}: {word}");
    }
    match schema {
        Value::Array(items) => items.iter().for_each(|item| worded(item, path)),
        Value::Object(map) => map.iter().for_each(|(key, v)| worded(v, &format!("{path}.{key}"))),
        _ => {}
    }
}

#[test]
fn people_write_known_keys_only() {
    for tool in tools_and_smallest() {
        let text = std::fs::read_to_string(pair()).unwrap().replace("host: h1,", "hots: h1,");
        for verb in STACK_VERBS {
            let ended = tool.run([verb]).input(text.as_str()).end().refused(65);
            assert!(ended.stderr.contains("hots") && ended.stderr.contains("`host`"), "{}", ended.stderr);
        }
        let ignored = std::fs::read_to_string(pair()).unwrap() + "\nx-note: { any: thing }\n";
        let ended = tool.run(["resolve"]).input(ignored).end().with(0);
        assert_eq!(ended.stdout, tool.run(["resolve", &pair()]).end().stdout);
    }
}

#[test]
fn tools_write_keys_that_older_ones_do_not_know() {
    for tool in tools_and_smallest() {
        let [_, stack, flag, observed] = plan_of(&tool);
        let text: String = std::fs::read_to_string(&observed)
            .unwrap()
            .lines()
            .map(|line| with_news(&serde_json::from_str(line).unwrap()).to_string() + "\n")
            .collect();
        let folder = scratch();
        let news = file(&folder, "observed.json", &text);
        let ended = tool.run(["plan", &stack, &flag, &news]).end().with(0);
        assert_eq!(ended.stdout, tool.run(plan_of(&tool)).end().stdout);
        let mut idle = tool.run(plan_of(&tool)).end().document();
        (idle["hosts"], idle["steps"]) = (json!([]), json!([]));
        let report = tool.run(["apply"]).input(with_news(&idle).to_string()).end().with(0).document();
        assert_eq!(report["ok"], true);
    }
}

/// All objects in a list or at the top get an additional key.
fn with_news(value: &Value) -> Value {
    let mut news = value.clone();
    if let Some(map) = news.as_object_mut() {
        for list in map.values_mut().filter_map(Value::as_array_mut) {
            for item in list.iter_mut().filter(|item| item.is_object()) {
                *item = with_news(item);
            }
        }
        map.insert("news_of_tomorrow".to_owned(), json!({"size_bytes": 1}));
    }
    news
}

#[test]
fn a_newer_major_is_refused() {
    for tool in tools_and_smallest() {
        let newer = |text: &str| text.replacen("/1\"", "/2\"", 1);
        let folder = scratch();
        let [_, stack, flag, observed] = plan_of(&tool);
        let bad = file(&folder, "observed.json", &newer(&std::fs::read_to_string(observed).unwrap()));
        let plan = newer(&tool.run(plan_of(&tool)).end().stdout);
        let resolved = newer(&tool.run(["resolve", &pair()]).end().stdout);
        let refusals = [
            tool.run(["plan", &stack, &flag, &bad]).end(),
            tool.run(["apply"]).input(plan).end(),
            tool.run(["resolve"]).input(resolved.clone()).end(),
            tool.run(["up"]).input(resolved).end(),
        ];
        for ended in refusals.map(|ended| ended.refused(65)) {
            assert!(ended.stderr.contains("/2") && ended.stderr.contains("/1"), "{}", ended.stderr);
        }
    }
}

#[test]
fn secrets_are_named_and_never_told() {
    const SECRET: &str = "correct-horse-battery-staple";
    for tool in tools_and_smallest() {
        let folder = scratch();
        let _ = file(&folder, "password", SECRET);
        let stack =
            std::fs::read_to_string(pair()).unwrap().replace("pong: {", "pong: { secrets: [password],");
        let named =
            file(&folder, "stack.yaml", &(stack.clone() + "\nsecrets: { password: \"file:password\" }\n"));
        let written = file(&folder, "bad.yaml", &(stack + &format!("\nsecrets: {{ password: {SECRET} }}\n")));
        let config = file(&folder, "ssh_config", "Host *\n  ProxyCommand /bin/false\n");
        for log in ["text", "json"] {
            for verb in STACK_VERBS {
                for path in [&named, &written] {
                    let args = [verb, path, "--log", log, "-vv"];
                    let ended = tool.run(args).env("LSX_SSH_CONFIG", &config).end();
                    let told = ended.stdout.contains(SECRET) || ended.stderr.contains(SECRET);
                    assert!(!told, "{} tells the secret: {}{}", ended.line, ended.stdout, ended.stderr);
                    assert_eq!(ended.code() == 65, *path == written, "{}: {}", ended.line, ended.stderr);
                }
            }
        }
    }
}

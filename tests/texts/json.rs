//! lsx-json(5): every example is such a document, and no field of a schema is missing.

use lsx_tests::{tools, top};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The section of every kind of document, by the names that `schema` gives them.
const SECTIONS: [(&str, &str); 11] = [
    ("observed", "OBSERVED"),
    ("plan", "PLAN"),
    ("report", "REPORT"),
    ("check", "CHECK"),
    ("path", "CHECK"),
    ("attach", "ATTACH"),
    ("attached", "ATTACHED"),
    ("target", "TARGET"),
    ("probe", "PROBE"),
    ("event", "EVENTS"),
    ("failure", "FAILURE"),
];

fn page() -> String {
    std::fs::read_to_string(top("man/lsx-json.5")).unwrap()
}

fn schemas() -> Value {
    let tool = tools().into_iter().find(|tool| tool.name == "lsx-net").unwrap();
    tool.run(["schema"]).end().with(0).document()
}

#[test]
fn examples_are_documents() {
    let (page, schemas) = (page(), schemas());
    let mut seen = BTreeSet::new();
    for example in page.split(".\\\" example: ").skip(1) {
        let (kind, rest) = example.split_once('\n').unwrap();
        let text =
            rest.split_once(".Bd -literal\n").unwrap().1.split_once("\n.Ed").unwrap().0.replace("\\e", "\\");
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let document = document.unwrap_or_else(|e| panic!("{kind}: {e}\n{text}"));
            let validator = jsonschema::validator_for(&schemas[kind]).unwrap();
            let wrong: Vec<String> =
                validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{kind}: {wrong:#?}\n{text}");
        }
        seen.insert(kind.to_owned());
    }
    let missing: Vec<&String> =
        schemas.as_object().unwrap().keys().filter(|k| *k != "path" && !seen.contains(*k)).collect();
    assert!(missing.is_empty(), "lsx-json.5 has no example of {missing:?}");
}

#[test]
fn every_field_is_described() {
    let (page, schemas) = (page(), schemas());
    let sections = sections(&page);
    let known: BTreeSet<&str> = SECTIONS.iter().map(|(kind, _)| *kind).chain(["stack"]).collect();
    let kinds: BTreeSet<&str> = schemas.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(known, kinds, "the kinds of documents and the sections of lsx-json.5");
    for (kind, title) in SECTIONS {
        let mut described = BTreeSet::new();
        gather(title, &sections, &mut BTreeSet::new(), &mut described);
        let mut wanted = BTreeSet::new();
        properties(&schemas[kind], &mut wanted);
        let missing: Vec<&String> = wanted.difference(&described).collect();
        assert!(missing.is_empty(), "lsx-json.5, {title}: nothing about {missing:?}");
    }
}

/// Title and text of every section.
fn sections(page: &str) -> BTreeMap<&str, &str> {
    page.split("\n.Sh ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

/// The fields that a section describes, and those of the sections it refers to.
fn gather<'a>(
    title: &'a str,
    sections: &BTreeMap<&'a str, &'a str>,
    visited: &mut BTreeSet<&'a str>,
    fields: &mut BTreeSet<String>,
) {
    if !visited.insert(title) {
        return;
    }
    let section = sections.get(title).unwrap_or_else(|| panic!("lsx-json.5 has no section {title}"));
    for line in section.lines() {
        if let Some(path) = line.strip_prefix(".It Va ") {
            let path = path.split(' ').next().unwrap().trim_end_matches("[]");
            fields.extend(path.split('.').map(|part| part.trim_end_matches("[]").to_owned()));
        } else if let Some(other) = line.strip_prefix(".Sx ") {
            gather(other.trim_end_matches([' ', '.', ',']), sections, visited, fields);
        }
    }
}

/// The names of all properties of a schema, at any depth.
fn properties(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| properties(item, names)),
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_object().filter(|_| key == "properties") {
                    Some(all) => all.iter().for_each(|(name, value)| {
                        names.insert(name.clone());
                        properties(value, names);
                    }),
                    None => properties(value, names),
                }
            }
        }
        _ => {}
    }
}

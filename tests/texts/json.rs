//! lsx-json(5): every example is such a document, and no field of a schema is missing.

use lsx_tests::{Tool, tools, top};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The section of every kind of document, by tool and by the name that `schema` gives it.
const SECTIONS: &[(&str, &str, &str)] = &[
    ("net", "observed", "OBSERVED"),
    ("net", "plan", "PLAN"),
    ("net", "report", "REPORT"),
    ("net", "check", "CHECK"),
    ("net", "path", "CHECK"),
    ("net", "attach", "ATTACH"),
    ("net", "attached", "ATTACHED"),
    ("net", "target", "TARGET"),
    ("net", "probe", "PROBE"),
    ("net", "event", "EVENTS"),
    ("net", "failure", "FAILURE"),
    ("ct", "observed", "OBSERVED BY LSX-CT"),
    ("ct", "plan", "PLAN OF LSX-CT"),
    ("ct", "report", "REPORT"),
    ("ct", "check", "CHECK"),
    ("ct", "ran", "RAN"),
    ("ct", "acted", "ACTED"),
    ("ct", "recipe", "RECIPE"),
    ("ct", "inventory", "INVENTORY"),
    ("ct", "line", "LINE"),
    ("ct", "top", "TOP"),
    ("ct", "image", "IMAGE"),
    ("ct", "collected", "COLLECTED"),
    ("ct", "event", "EVENTS"),
    ("ct", "failure", "FAILURE"),
    ("dns", "observed", "OBSERVED BY LSX-DNS"),
    ("dns", "counts", "COUNTS OF LSX-DNS"),
    ("dns", "leases", "LEASES OF LSX-DNS"),
    ("dns", "machines", "MACHINES OF LSX-DNS"),
    ("dns", "offer", "OFFER OF LSX-DNS"),
    ("dns", "query", "QUERY OF LSX-DNS"),
    ("dns", "explain", "EXPLANATION OF LSX-DNS"),
    ("dns", "update", "UPDATE OF LSX-DNS"),
    ("dns", "changes", "CHANGES FOR LSX-DNS"),
    ("dns", "render", "RENDERED BY LSX-DNS"),
    ("dns", "plan", "PLAN OF LSX-DNS"),
    ("dns", "report", "REPORT"),
    ("dns", "check", "CHECK"),
    ("dns", "event", "EVENTS"),
    ("dns", "failure", "FAILURE"),
    ("pki", "observed", "OBSERVED BY LSX-PKI"),
    ("pki", "trust", "WHOM CLIENTS OF A STACK TRUST"),
    ("pki", "plan", "PLAN OF LSX-PKI"),
    ("pki", "report", "REPORT"),
    ("pki", "check", "CHECK"),
    ("pki", "event", "EVENTS"),
    ("pki", "failure", "FAILURE"),
    ("snap", "observed", "OBSERVED BY LSX-SNAP"),
    ("snap", "taken", "TAKEN BY LSX-SNAP"),
    ("snap", "back", "BACK BY LSX-SNAP"),
    ("snap", "list", "LIST OF LSX-SNAP"),
    ("snap", "plan", "PLAN OF LSX-SNAP"),
    ("snap", "report", "REPORT"),
    ("snap", "check", "CHECK"),
    ("snap", "event", "EVENTS"),
    ("snap", "failure", "FAILURE"),
    ("store", "observed", "OBSERVED BY LSX-STORE"),
    ("store", "done", "WHAT LSX-STORE DID WITH AN OBJECT"),
    ("store", "list", "LIST OF LSX-STORE"),
    ("store", "plan", "PLAN OF LSX-STORE"),
    ("store", "usage", "USAGE OF LSX-STORE"),
    ("store", "moved", "A VOLUME THAT HAS MOVED"),
    ("store", "report", "REPORT"),
    ("store", "check", "CHECK"),
    ("store", "event", "EVENTS"),
    ("store", "failure", "FAILURE"),
];

fn page() -> String {
    std::fs::read_to_string(top("man/lsx-json.5")).unwrap()
}

/// The schemas of every tool, by its word.
fn schemas() -> BTreeMap<String, Value> {
    let schema = |tool: &Tool| (tool.word().to_owned(), tool.run(["schema"]).end().with(0).document());
    tools().iter().map(schema).collect()
}

/// The tool and the kind that an example is of: `ct.ran`, or `plan` for what lsx-net or all tools write.
fn named(example: &str) -> (&str, &str) {
    example.split_once('.').unwrap_or(("net", example))
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
            let (tool, of) = named(kind);
            let validator = jsonschema::validator_for(&schemas[tool][of]).unwrap();
            let wrong: Vec<String> =
                validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{kind}: {wrong:#?}\n{text}");
        }
        seen.insert(named(kind));
    }
    let sections: BTreeMap<(&str, &str), &str> =
        SECTIONS.iter().map(|(tool, kind, title)| ((*tool, *kind), *title)).collect();
    let shown: BTreeSet<&str> = seen.iter().filter_map(|of| sections.get(of)).copied().collect();
    let missing: Vec<&str> = sections.values().copied().filter(|title| !shown.contains(title)).collect();
    assert!(missing.is_empty(), "lsx-json.5 has no example in {missing:?}");
}

#[test]
fn every_field_is_described() {
    let (page, schemas) = (page(), schemas());
    let sections = sections(&page);
    for (tool, schemas) in &schemas {
        let of_tool = SECTIONS.iter().filter(|(of, _, _)| of == tool);
        let known: BTreeSet<&str> = of_tool.map(|(_, kind, _)| *kind).chain(["stack"]).collect();
        let kinds: BTreeSet<&str> = schemas.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, kinds, "the kinds of documents of {tool} and the sections of lsx-json.5");
    }
    for &(tool, kind, title) in SECTIONS {
        let mut described = BTreeSet::new();
        gather(title, &sections, &mut BTreeSet::new(), &mut described);
        let mut wanted = BTreeSet::new();
        properties(&schemas[tool][kind], &mut wanted);
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

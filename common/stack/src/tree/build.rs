//! Builds the tree from the parser's events: anchors, merge keys and limits.

use super::{Entry, MAX_DEPTH, NOWHERE, Node, Source, Value};
use crate::{Failure, Kind};
use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, options};
use std::borrow::Cow;
use std::collections::HashMap;

/// Nodes of a document, counting aliases each time they are used: about 200,000 instances. The parser's own default would
/// refuse a stack of 20,000; without any limit nested aliases fill the memory.
const MAX_NODES: usize = 4_000_000;

/// A syntax mistake and its byte.
pub(crate) struct Fault {
    at: u32,
    code: &'static str,
    message: String,
}

impl Fault {
    /// The failure with its place.
    pub(crate) fn failure(self, source: &Source<'_>) -> Failure {
        let empty = self.code == EMPTY;
        let kind = if empty { Kind::Empty } else { Kind::Data };
        let mut failure = Failure::new(kind, self.code, self.message);
        failure.at = Some(source.place(self.at, String::new()));
        let line = failure.at.as_ref().map(|at| at.text.trim().to_owned()).unwrap_or_default();
        match blank(&line) {
            _ if empty => failure.hint("the previous program in the pipe failed, or the file is empty"),
            Some(hint) if failure.message.starts_with("simple key") => failure.hint(hint),
            _ => failure,
        }
    }
}

/// A hint for `h1:192.0.2.11`, which YAML reads as one word.
pub(crate) fn blank(text: &str) -> Option<String> {
    let (key, value) = text.split_once(':').filter(|(key, value)| !key.is_empty() && !value.is_empty())?;
    Some(format!("write a space after the colon: {key}: {}", value.trim_start()))
}

fn too_deep(at: u32) -> Fault {
    fault(at, "stack.depth", format!("more than {MAX_DEPTH} levels of maps and lists"))
}

/// Code of an empty document.
const EMPTY: &str = "stack.empty";

fn fault(at: u32, code: &'static str, message: impl Into<String>) -> Fault {
    Fault { at, code, message: message.into() }
}

/// Parses YAML 1.2 or JSON (RFC 8259), which YAML contains.
///
/// # Errors
/// The first mistake of syntax, or every duplicate key.
pub(crate) fn parse(text: &str) -> Result<Node<'_>, Vec<Fault>> {
    if let Some(root) = super::json::quick(text) {
        return Ok(root);
    }
    let options = options! {
        emit_comments: false,
        simple_key_max_lookahead: 4096,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut build = Build::default();
    for item in Parser::<StrInput<'_>>::new_from_str_with_options(text, options) {
        let step = match item {
            Ok((event, span)) => build.event(event, &span),
            Err(error) => {
                let at = offset(error.marker().byte_offset());
                let info = error.info();
                if info.contains("recursion") || info.contains("nesting") {
                    Err(too_deep(at))
                } else {
                    let (at, message) = super::json::mistake(text).unwrap_or((at, info.to_owned()));
                    Err(fault(at, "stack.syntax", message))
                }
            }
        };
        if let Err(fault) = step {
            build.faults.push(fault);
            return Err(build.faults);
        }
    }
    match build.root {
        _ if !build.faults.is_empty() => Err(build.faults),
        Some(Node { value: Value::Null, .. }) | None => {
            Err(vec![fault(NOWHERE, EMPTY, "expected a stack, got an empty document")])
        }
        Some(root) => Ok(root),
    }
}

fn offset(byte: Option<usize>) -> u32 {
    byte.and_then(|n| u32::try_from(n).ok()).unwrap_or(NOWHERE)
}

/// A collection that is not complete yet.
struct Open<'a> {
    at: u32,
    anchor: usize,
    first: usize,
    height: usize,
    body: Body<'a>,
}

enum Body<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<(Cow<'a, str>, u32)>, merged: Vec<Node<'a>> },
}

/// What an alias repeats: the node, its number of nodes and its depth.
struct Anchor<'a> {
    node: Node<'a>,
    nodes: usize,
    height: usize,
}

#[derive(Default)]
struct Build<'a> {
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Anchor<'a>>,
    root: Option<Node<'a>>,
    documents: usize,
    nodes: usize,
    faults: Vec<Fault>,
}

impl<'a> Build<'a> {
    fn event(&mut self, event: Event<'a>, span: &Span) -> Result<(), Fault> {
        let at = offset(span.start.byte_offset());
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(fault(
                        at,
                        "stack.documents",
                        "a stack is one document, and a second one begins here",
                    ));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(tag) = tag.as_deref().filter(|tag| !tag.is_yaml_core_schema()) {
                    return Err(fault(
                        at,
                        "stack.tag",
                        format!("the tag {} is not supported", tag.original()),
                    ));
                }
                self.count(at, 1)?;
                let string = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = matches!(style, ScalarStyle::Plain) && !string;
                return self.put(Node { at, value: scalar(text, plain) }, anchor, 1, 0);
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, Body::List(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                self.begin(at, anchor, Body::Map { entries: Vec::new(), key: None, merged: Vec::new() })?;
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end(),
            Event::Alias(id) => {
                let Some(anchor) = self.anchors.get(&id) else {
                    return Err(fault(at, "stack.alias", "an alias inside the value that it repeats"));
                };
                let (node, nodes, height) = (anchor.node.clone(), anchor.nodes, anchor.height);
                self.count(at, nodes)?;
                return self.put(node, 0, nodes, height);
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, at: u32, nodes: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(fault(at, "stack.size", format!("more than {MAX_NODES} values in one document")));
        }
        Ok(())
    }

    fn begin(&mut self, at: u32, anchor: usize, body: Body<'a>) -> Result<(), Fault> {
        self.count(at, 1)?;
        if let Some(Open { body: Body::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(fault(at, "stack.key.type", "a key must be a text"));
        }
        self.open.push(Open { at, anchor, first: self.nodes, height: 0, body });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.body {
            Body::List(items) => Value::List(items),
            Body::Map { mut entries, merged, .. } => {
                self.duplicates(&entries);
                merge(&mut entries, merged);
                Value::Map(entries)
            }
        };
        let nodes = self.nodes - open.first + 1;
        self.put(Node { at: open.at, value }, open.anchor, nodes, open.height + 1)
    }

    /// Adds a finished node to its parent.
    fn put(&mut self, node: Node<'a>, anchor: usize, nodes: usize, height: usize) -> Result<(), Fault> {
        let at = node.at;
        if anchor > 0 {
            // Copies must be counted, or a chain of anchors could double the memory unnoticed.
            self.count(at, nodes)?;
            self.anchors.insert(anchor, Anchor { node: node.clone(), nodes, height });
        }
        if self.open.len() + height > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(height);
        match &mut open.body {
            Body::List(items) => items.push(node),
            Body::Map { entries, key, merged } => match key.take() {
                None => *key = Some(as_key(node)?),
                Some((name, _)) if name == "<<" => merged.extend(sources(node)?),
                Some((name, place)) => entries.push(Entry { key: name, at: place, value: node }),
            },
        }
        Ok(())
    }

    fn duplicates(&mut self, entries: &[Entry<'a>]) {
        let mut seen: HashMap<&str, ()> = HashMap::with_capacity(entries.len());
        for entry in entries {
            if seen.insert(&entry.key, ()).is_some() {
                let message = format!("the key `{}` is given twice", entry.key);
                self.faults.push(fault(entry.at, "stack.key.duplicate", message));
            }
        }
    }
}

fn scalar(text: Cow<'_, str>, plain: bool) -> Value<'_> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
        _ if plain => Value::Plain(text),
        _ => Value::Quoted(text),
    }
}

fn as_key(node: Node<'_>) -> Result<(Cow<'_, str>, u32), Fault> {
    match node.value {
        Value::Plain(text) | Value::Quoted(text) => Ok((text, node.at)),
        Value::Null => Ok((Cow::Borrowed("null"), node.at)),
        _ => Err(fault(node.at, "stack.key.type", "a key must be a text")),
    }
}

/// The maps that a merge key names.
fn sources(node: Node<'_>) -> Result<Vec<Node<'_>>, Fault> {
    match node.value {
        Value::Map(_) => Ok(vec![node]),
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => Ok(items),
        _ => Err(fault(node.at, "stack.merge", "`<<` needs a map or a list of maps")),
    }
}

/// Keys of the map itself take precedence, then those of the first source (YAML's merge key draft).
fn merge<'a>(entries: &mut Vec<Entry<'a>>, merged: Vec<Node<'a>>) {
    for source in merged {
        let Value::Map(more) = source.value else { continue };
        for entry in more {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
    }
}

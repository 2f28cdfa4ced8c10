//! The document as a tree of nodes with places; scalars keep their text as written.
//!
//! The tree is built from the parser's events, not through serde: serde would turn `10.100` into 10.1 and `no`
//! into false before a type has asked for a number, and would stop at the first mistake.

mod build;
pub(crate) mod environment;
pub(crate) mod hidden;
mod json;
mod place;
mod set;
mod typed;

pub(crate) use build::{Fault, blank, parse};
pub(crate) use place::{Aim, Source, text_at};
pub(crate) use set::set;

use std::borrow::Cow;

/// Depth of nested collections; the decoder and `Drop` recurse, so this limits the call stack.
const MAX_DEPTH: usize = 64;

/// The place of a node that is not in the text, such as a value given by a flag.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// A value and the byte of the text where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) at: u32,
    pub(crate) value: Value<'a>,
}

/// The value of a node. Text is not converted here.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    /// Empty, `~` or `null`.
    Null,
    /// A scalar without quotes, exactly as written.
    Plain(Cow<'a, str>),
    /// A quoted or block scalar, without its quotes.
    Quoted(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Vec<Entry<'a>>),
}

/// A key, its place and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) at: u32,
    pub(crate) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Quoted(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Option<&[Entry<'a>]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Its type, for messages.
    pub(crate) fn sort(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Plain(_) | Value::Quoted(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Converts to JSON, for sections that belong to other tools. A plain scalar becomes a number or a boolean only if that
    /// writes back as the same text, so `10.100` and `007` stay text; entries without a value are left out.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Quoted(text) => serde_json::Value::String(text.to_string()),
            Value::Plain(text) => scalar(text),
            Value::List(items) => items.iter().map(Node::json).collect(),
            Value::Map(entries) => {
                let mut entries: Vec<&Entry<'_>> =
                    entries.iter().filter(|entry| !matches!(entry.value.value, Value::Null)).collect();
                // The order of maps has no meaning, so they are printed sorted.
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                entries.into_iter().map(|entry| (entry.key.to_string(), entry.value.json())).collect()
            }
        }
    }
}

fn scalar(text: &str) -> serde_json::Value {
    match text {
        "true" => return serde_json::Value::Bool(true),
        "false" => return serde_json::Value::Bool(false),
        _ => {}
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && let Ok(number) = serde_json::from_str::<serde_json::Number>(text)
        && number.to_string() == text
    {
        return serde_json::Value::Number(number);
    }
    serde_json::Value::String(text.to_owned())
}

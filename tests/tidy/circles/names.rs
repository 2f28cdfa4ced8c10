//! What a file defines, imports and uses.

use super::tokens::{Word, words};
use std::collections::BTreeSet;

/// `use a::b as c`, one for each name of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// The name that it gives; `*` for all.
    pub(super) name: String,
    /// Whether it hands the name on.
    pub(super) public: bool,
}

/// The names of one file.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Items at the file's top level.
    pub(super) defines: BTreeSet<String>,
    /// Modules in files of their own.
    pub(super) modules: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths of at least two names, outside `use`.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// Names that stand alone or begin a path, outside `use`; no fields and methods.
    pub(super) words: BTreeSet<String>,
}

const ITEMS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "mod"];

/// The names of a file's text.
pub(super) fn names(text: &str) -> Names {
    let words = words(text);
    let mut names = Names::default();
    let (mut at, mut depth, mut public) = (0, 0_usize, false);
    while at < words.len() {
        let text = |i: usize| words.get(i).map_or("", |word| word.text.as_str());
        match text(at) {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            ";" => public = false,
            "pub" => public = true,
            "use" => {
                at = import(&words, at + 1, &[], public, &mut names.imports);
                public = false;
                continue;
            }
            "macro_rules" if text(at + 1) == "!" => drop(names.defines.insert(text(at + 2).to_owned())),
            "mod" if text(at + 2) == ";" => {
                names.modules.insert(text(at + 1).to_owned());
                public = false;
                at += 3;
                continue;
            }
            word if depth == 0 && ITEMS.contains(&word) => {
                public = false;
                let name = if text(at + 1) == "mut" { at + 2 } else { at + 1 };
                names.defines.insert(text(name).to_owned());
            }
            _ => {}
        }
        at = path(&words, at, &mut names);
    }
    names
}

/// Takes the path that begins here, if one does; returns where to go on.
fn path(words: &[Word], at: usize, names: &mut Names) -> usize {
    let before = at.checked_sub(1).map_or("", |i| words[i].text.as_str());
    if !words[at].name || before == "." || before == "::" {
        return at + 1;
    }
    let mut end = at + 1;
    let mut path = vec![words[at].text.clone()];
    while words.get(end).is_some_and(|w| w.text == "::") && words.get(end + 1).is_some_and(|w| w.name) {
        path.push(words[end + 1].text.clone());
        end += 2;
    }
    names.words.insert(path[0].clone());
    if path.len() > 1 {
        names.paths.insert(path);
    }
    end
}

/// Takes the tree of a `use` that begins here; returns where it ends.
fn import(words: &[Word], from: usize, above: &[String], public: bool, all: &mut Vec<Import>) -> usize {
    let mut path = above.to_vec();
    let mut at = from;
    loop {
        let Some(word) = words.get(at) else { return at };
        match word.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|w| w.text != "}") {
                    at = import(words, at, &path, public, all);
                    if words.get(at).is_some_and(|w| w.text == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "*" => {
                all.push(Import { path, name: "*".to_owned(), public });
                return at + 1;
            }
            "as" => {
                let name = words.get(at + 1).map_or_else(String::new, |w| w.text.clone());
                all.push(Import { path, name, public });
                return at + 2;
            }
            "self" if !path.is_empty() => at += 1, // `a::{self}`: the path above it
            _ if word.name => {
                path.push(word.text.clone());
                at += 1;
            }
            _ => {
                let name = path.last().cloned().unwrap_or_default();
                all.push(Import { path, name, public });
                return at;
            }
        }
    }
}

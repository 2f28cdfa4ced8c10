//! Names: Compose allows upper case, dots, underscores, and more than 63 bytes.

use super::{At, Log, each};
use std::collections::BTreeMap;

/// Names in the stack, by names in the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// Names of services; a changed name is reported, since other services may use it.
    pub(super) fn of(services: At<'_, '_>, lost: &Log) -> Self {
        let mut names = Names::default();
        each(services, |key, at| {
            let own = names.add(key);
            if own != key {
                let message = format!("service `{key}` is renamed to `{own}`");
                let hint = format!("programs that use the name {key} must use {own}");
                at.telling(lost).key_mistake("compose.name", message, hint);
            }
        });
        names
    }

    /// Names of networks, with the default one. Their changes are not reported, since no program uses them.
    pub(super) fn of_networks(networks: Option<At<'_, '_>>, _lost: &Log) -> Self {
        let mut names = Names::default();
        names.add("default");
        if let Some(at) = networks {
            each(at, |key, _| _ = names.add(key));
        }
        names
    }

    /// The name in the stack; `None` if it is not defined.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All names of the file.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    fn add(&mut self, key: &str) -> String {
        if let Some(own) = self.0.get(key) {
            return own.clone();
        }
        let base = ours(key);
        let base = if base.is_empty() { "service".to_owned() } else { base };
        let free = |own: &String| !self.0.values().any(|taken| taken == own);
        let numbered = (2..).map(|n| format!("{}-{n}", base.get(..27).unwrap_or(&base)));
        let own = std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or_default();
        self.0.insert(key.to_owned(), own.clone());
        own
    }
}

/// Keywords of stacks, which cannot be names.
const RESERVED: [&str; 3] = ["world", "host", "instance"];

/// The valid name for a text: `[a-z][a-z0-9-]{0,30}`. Empty if no character is left.
pub(super) fn ours(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).collect();
    let name = name.trim_matches('-');
    let name =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("n{name}") } else { name.to_owned() };
    let name = if RESERVED.contains(&name.as_str()) { format!("{name}-1") } else { name };
    name.get(..31).unwrap_or(&name).trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_one_of_ours() {
        for (theirs, own) in [
            ("web", "web"),
            ("My_App.db", "my-app-db"),
            ("7zip", "n7zip"),
            ("host", "host-1"),
            ("__", ""),
            ("é", ""),
        ] {
            assert_eq!(ours(theirs), own);
        }
        assert!(crate::value::name(&ours(&"Ab_".repeat(30))).is_ok());
    }

    #[test]
    fn two_that_would_be_called_alike_are_told_apart() {
        let mut names = Names::default();
        assert_eq!(
            (names.add("a_b").as_str(), names.add("a.b").as_str(), names.add("a-b").as_str()),
            ("a-b", "a-b-2", "a-b-3")
        );
    }
}
